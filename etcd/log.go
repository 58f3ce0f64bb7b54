package etcd

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// logBridge passes etcd's log on to klog: errors always, warnings at -v 2, the rest at -v 5. etcd ends the process on
// errors that it cannot live with (a full disk); here they end the member only, and the first is kept for Failed.
type logBridge struct {
	once   sync.Once
	failed chan error
	// ending: a member that is being stopped reports each of its listeners as an error.
	ending atomic.Bool
	// broken: a goroutine of the member has stopped for good.
	broken atomic.Bool
}

func newLogBridge() *logBridge { return &logBridge{failed: make(chan error, 1)} }

func (b *logBridge) logger() *zap.Logger {
	return zap.New(bridgeCore{bridge: b}, zap.WithFatalHook(stopMember{b}), zap.WithPanicHook(stopMember{b}))
}

// fail keeps the first failure.
func (b *logBridge) fail(err error) { b.once.Do(func() { b.failed <- err }) }

type bridgeCore struct {
	bridge *logBridge
	fields []zapcore.Field
}

// harmless are entries that etcd calls errors though nothing is wrong.
var harmless = map[string]bool{
	// A new member's first attempt comes before its first commit; the next one works.
	"failed to update storage version": true,
	// Promote asks until it is.
	"rejecting promote learner: learner is not ready": true,
}

func verbosity(level zapcore.Level) klog.Level {
	if level >= zapcore.WarnLevel {
		return 2
	}
	return 5
}

// Enabled says whether anybody would see an entry, so that etcd does not even build it.
func (bridgeCore) Enabled(level zapcore.Level) bool {
	return level >= zapcore.ErrorLevel || klog.V(verbosity(level)).Enabled()
}

// With returns a core that adds fields to each entry.
func (c bridgeCore) With(fields []zapcore.Field) zapcore.Core {
	return bridgeCore{bridge: c.bridge, fields: append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

// Check adds the core to an entry that somebody would see.
func (c bridgeCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write logs the entry.
func (c bridgeCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	values := keysAndValues(append(c.fields[:len(c.fields):len(c.fields)], fields...))
	switch {
	case entry.Level > zapcore.ErrorLevel:
		err := plainFailure(entry.Message, values)
		c.bridge.fail(err)
		klog.ErrorS(err, "etcd: member failed", values...)
	case entry.Level == zapcore.ErrorLevel && !harmless[entry.Message] && !c.bridge.ending.Load():
		klog.ErrorS(errors.New(entry.Message), "etcd", values...)
	default:
		klog.V(verbosity(entry.Level)).InfoS("etcd: "+entry.Message, values...)
	}
	return nil
}

// Sync has nothing to do: klog flushes itself.
func (bridgeCore) Sync() error { return nil }

func keysAndValues(fields []zapcore.Field) []any {
	encoder := zapcore.NewMapObjectEncoder()
	values := make([]any, 0, 2*len(fields))
	for _, field := range fields {
		field.AddTo(encoder)
		if value, ok := encoder.Fields[field.Key]; ok {
			values = append(values, field.Key, value)
		}
	}
	return values
}

// plainFailure is one clear line for what etcd could not live with.
func plainFailure(message string, values []any) error {
	for i := 0; i+1 < len(values); i += 2 {
		if values[i] != "error" {
			continue
		}
		cause := fmt.Sprint(values[i+1])
		if strings.Contains(cause, "no space left on device") {
			return fmt.Errorf("etcd: the disk is full (%s: %s)", message, cause)
		}
		return fmt.Errorf("etcd: %s: %s", message, cause)
	}
	return fmt.Errorf("etcd: %s", message)
}

// stopMember takes the place of zap's os.Exit and panic: the goroutine that cannot go on stays where it is for good, since
// etcd's code after such an entry counts on never being reached. Whoever runs the member sees Failed and ends it.
type stopMember struct{ bridge *logBridge }

// OnWrite never returns.
func (s stopMember) OnWrite(entry *zapcore.CheckedEntry, _ []zapcore.Field) {
	s.bridge.broken.Store(true)
	s.bridge.fail(plainFailure(entry.Message, nil))
	select {}
}
