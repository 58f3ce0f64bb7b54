package member

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"gopkg.in/natefinch/lumberjack.v2"
)

// Log is where a member that runs as etcd does writes its log.
type Log struct {
	// Logger is "zap": there is no other since etcd 3.5.
	Logger string
	// Level is debug, info, warn, error, panic or fatal; Format json or console.
	Level, Format string
	// Outputs are "default", "stderr", "stdout", "systemd/journal" or files.
	Outputs []string
	// Rotate puts the one file of Outputs aside as Rotation says: JSON with lumberjack's keys.
	Rotate   bool
	Rotation string
}

const (
	outputDefault = "default"
	outputStderr  = "stderr"
	outputStdout  = "stdout"
	outputJournal = "systemd/journal"

	defaultRotation = `{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}`
)

// LogFlags are the flags that choose etcd's own way of logging.
var LogFlags = []string{"logger", "log-outputs", "log-level", "log-format", "enable-log-rotation"}

func (l *Log) addFlags(fs *flag.FlagSet) {
	fs.StringVar(&l.Logger, "logger", l.Logger, `"zap"; with this or another flag about logs, logs are etcd's own`)
	fs.Var(words{&l.Outputs}, "log-outputs", "stderr, stdout, systemd/journal or files")
	fs.StringVar(&l.Level, "log-level", l.Level, "debug, info, warn, error, panic or fatal")
	fs.StringVar(&l.Format, "log-format", l.Format, "json or console")
	fs.BoolVar(&l.Rotate, "enable-log-rotation", false, "put the file of --log-outputs aside when it is large")
	fs.StringVar(&l.Rotation, "log-rotation-config-json", l.Rotation, "when to: sizes in MB, ages in days, 0 for no limit")
}

// check finds what open would fail with because of wrong settings.
func (l *Log) check() error {
	if l.Logger != "zap" {
		return fmt.Errorf("--logger is %q; it can only be zap", l.Logger)
	}
	if _, err := logutil.ConvertToZapFormat(l.Format); err != nil {
		return fmt.Errorf("--log-format: %w", err)
	}
	if _, err := zapcore.ParseLevel(l.Level); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	files := 0
	for _, output := range l.Outputs {
		switch output {
		case outputStderr, outputStdout:
		case outputDefault, outputJournal:
			if len(l.Outputs) > 1 {
				return fmt.Errorf("--log-outputs: %s goes with no other", output)
			}
		default:
			files++
		}
	}
	if l.Rotate && files != 1 {
		return errors.New("--enable-log-rotation needs one file in --log-outputs")
	}
	if err := json.Unmarshal([]byte(l.Rotation), new(lumberjack.Logger)); l.Rotate && err != nil {
		return fmt.Errorf("--log-rotation-config-json: %w", err)
	}
	return nil
}

// open makes the logger.
func (l *Log) open() (*zap.Logger, error) {
	outputs := l.Outputs
	if len(outputs) == 0 {
		outputs = []string{outputDefault}
	}
	var sinks []zapcore.WriteSyncer
	for _, output := range outputs {
		sink, err := l.sink(output)
		if err != nil {
			return nil, fmt.Errorf("log output %s: %w", output, err)
		}
		sinks = append(sinks, zapcore.Lock(sink))
	}
	sink := zapcore.NewMultiWriteSyncer(sinks...)
	shape := logutil.DefaultZapLoggerConfig.EncoderConfig
	encoder := zapcore.NewJSONEncoder(shape)
	if l.Format == logutil.ConsoleLogFormat {
		encoder = zapcore.NewConsoleEncoder(shape)
	}
	core := zapcore.NewCore(encoder, sink, logutil.ConvertToZapLevel(l.Level))
	return zap.New(core, zap.AddCaller(), zap.ErrorOutput(sink)), nil
}

func (l *Log) sink(output string) (zapcore.WriteSyncer, error) {
	switch output {
	case outputDefault, outputStderr:
		return os.Stderr, nil
	case outputStdout:
		return os.Stdout, nil
	case outputJournal:
		journal, err := logutil.NewJournalWriter(os.Stderr)
		return zapcore.AddSync(journal), err
	}
	if l.Rotate {
		file := &lumberjack.Logger{}
		if err := json.Unmarshal([]byte(l.Rotation), file); err != nil {
			return nil, err
		}
		file.Filename = output
		return zapcore.AddSync(file), nil
	}
	return os.OpenFile(output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}

// refused returns what notes a failed handshake; one that was only cut off is no news.
func refused(log *zap.Logger, where string) func(*tls.Conn, error) {
	return func(conn *tls.Conn, err error) {
		level := zapcore.WarnLevel
		if errors.Is(err, io.EOF) {
			level = zapcore.DebugLevel
		}
		state := conn.ConnectionState()
		fields := []zap.Field{zap.String("remote-addr", conn.RemoteAddr().String()), zap.String("server-name", state.ServerName), zap.Error(err)}
		if len(state.PeerCertificates) > 0 {
			fields = append(fields, zap.Strings("dns-names", state.PeerCertificates[0].DNSNames), zap.Stringers("ip-addresses", state.PeerCertificates[0].IPAddresses))
		}
		log.Log(level, "rejected connection on "+where+" endpoint", fields...)
	}
}
