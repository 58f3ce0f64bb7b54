package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"
)

// logLimit is the size, in bytes, at which the log file is put aside (as FILE.1, replacing the last one).
const logLimit = 10 << 20

// logFlag is --log-file. The daemon bounds its log itself, because it may outlive whoever started it.
func logFlag() cli.Flag {
	return &cli.StringFlag{Name: "log-file", Usage: "Write the log to this file, and put it aside at 10 MB"}
}

// startLog sends the log to the file of --log-file, if that is given.
func startLog(ctx context.Context, cmd *cli.Command) (context.Context, error) {
	name := cmd.String("log-file")
	if name == "" {
		return ctx, nil
	}
	log := &boundedLog{name: name, limit: logLimit, stderr: unix.Stderr}
	if err := log.open(); err != nil {
		return ctx, fmt.Errorf("opening the log: %w", err)
	}
	logrus.SetOutput(log)
	return ctx, nil
}

// boundedLog is a log file that is put aside when it is full. Standard error always goes to the present file too, so
// that a panic is found in the log.
type boundedLog struct {
	name   string
	limit  int64 // bytes
	stderr int   // the descriptor that is to follow the file

	mu   sync.Mutex
	file *os.File
	size int64
}

func (l *boundedLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(line)) > l.limit {
		if err := os.Rename(l.name, l.name+".1"); err != nil {
			return 0, err
		}
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

func (l *boundedLog) open() error {
	file, err := os.OpenFile(l.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := unix.Dup3(int(file.Fd()), l.stderr, 0); err != nil {
		return err
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.size = file, info.Size()
	return nil
}
