package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/time/rate"
	"gopkg.in/natefinch/lumberjack.v2"
	"k8s.io/klog/v2"
)

// Options are upstream's flags of auditing.
type Options struct {
	PolicyFile string

	LogPath                            string
	LogFormat                          string
	LogMaxAge, LogMaxBackups, LogMaxMB int
	LogCompress                        bool
	WebhookFile                        string
	WebhookBackoff                     time.Duration
	log, webhook                       delivery
	logVersion, webhookVersion         string
}

// delivery is how events come to a sink.
type delivery struct {
	mode               string
	buffer, size       int
	wait               time.Duration
	throttle           bool
	qps                float32
	burst              int
	truncate           bool
	maxBatch, maxEvent int64
}

// The modes of delivery.
const (
	modeBatch    = "batch"
	modeBlocking = "blocking"
	modeStrict   = "blocking-strict"
)

// Add declares the flags, with upstream's defaults.
func (o *Options) Add(flags *pflag.FlagSet) {
	flags.StringVar(&o.PolicyFile, "audit-policy-file", "", "file of kind Policy (audit.k8s.io/v1): what is recorded; without it nothing is")
	flags.StringVar(&o.LogPath, "audit-log-path", "", `file to which events are written; "-" is standard output`)
	flags.StringVar(&o.LogFormat, "audit-log-format", "json", "json, or legacy: a line of text an event")
	flags.IntVar(&o.LogMaxAge, "audit-log-maxage", 366, "days after which rotated files are removed; 0: never")
	flags.IntVar(&o.LogMaxBackups, "audit-log-maxbackup", 100, "how many rotated files are kept; 0: all")
	flags.IntVar(&o.LogMaxMB, "audit-log-maxsize", 100, "megabytes after which the file is rotated; 0: never")
	flags.BoolVar(&o.LogCompress, "audit-log-compress", false, "compress rotated files with gzip")
	flags.StringVar(&o.logVersion, "audit-log-version", apiVersion, "version of the events in the file")
	flags.StringVar(&o.WebhookFile, "audit-webhook-config-file", "", "kubeconfig file that names the webhook to which events are sent")
	flags.DurationVar(&o.WebhookBackoff, "audit-webhook-initial-backoff", 10*time.Second, "first pause after a failed call of the webhook")
	flags.DurationVar(&o.WebhookBackoff, "audit-webhook-batch-initial-backoff", 10*time.Second, "the former name of --audit-webhook-initial-backoff")
	flags.StringVar(&o.webhookVersion, "audit-webhook-version", apiVersion, "version of the events that the webhook is sent")
	o.log.add(flags, "log", delivery{mode: modeBlocking, buffer: 10000, size: 1})
	o.webhook.add(flags, "webhook", delivery{mode: modeBatch, buffer: 10000, size: 400, wait: 30 * time.Second, throttle: true, qps: 10, burst: 15})
}

func (d *delivery) add(flags *pflag.FlagSet, sink string, otherwise delivery) {
	name := func(rest string) string { return "audit-" + sink + "-" + rest }
	flags.StringVar(&d.mode, name("mode"), otherwise.mode, "batch: written later, lost if the buffer is full; blocking: requests wait; blocking-strict: requests whose first event is lost are refused")
	flags.IntVar(&d.buffer, name("batch-buffer-size"), otherwise.buffer, "events that may wait to be written, in the mode batch")
	flags.IntVar(&d.size, name("batch-max-size"), otherwise.size, "events in a batch at most")
	flags.DurationVar(&d.wait, name("batch-max-wait"), otherwise.wait, "how long an event may wait for others before its batch is written")
	flags.BoolVar(&d.throttle, name("batch-throttle-enable"), otherwise.throttle, "bound the rate of batches")
	flags.Float32Var(&d.qps, name("batch-throttle-qps"), otherwise.qps, "batches a second on average")
	flags.IntVar(&d.burst, name("batch-throttle-burst"), otherwise.burst, "batches at once, after a pause")
	flags.BoolVar(&d.truncate, name("truncate-enabled"), false, "leave objects out of events that are too large")
	flags.Int64Var(&d.maxBatch, name("truncate-max-batch-size"), 10<<20, "bytes of a batch at most")
	flags.Int64Var(&d.maxEvent, name("truncate-max-event-size"), 100<<10, "bytes of an event at most")
}

// Open returns the Auditor that the options ask for: nil if there is no policy, or no sink. All that is wrong with them is
// in the error. The caller closes it.
func (o *Options) Open() (*Auditor, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.PolicyFile == "" {
		if o.LogPath != "" || o.WebhookFile != "" {
			klog.InfoS("Without --audit-policy-file no audit events are recorded")
		}
		return nil, nil
	}
	policy, err := LoadPolicy(o.PolicyFile)
	if err != nil {
		return nil, fmt.Errorf("--audit-policy-file: %w", err)
	}
	if o.LogPath == "" && o.WebhookFile == "" {
		return nil, nil
	}
	var sinks all
	if o.WebhookFile != "" {
		hook, err := newHook(o.WebhookFile, o.WebhookBackoff)
		if err != nil {
			return nil, fmt.Errorf("--audit-webhook-config-file: %w", err)
		}
		sinks = append(sinks, o.webhook.wrap("webhook", hook, true))
	}
	if o.LogPath != "" {
		out, err := o.openLog()
		if err != nil {
			return nil, fmt.Errorf("--audit-log-path: %w", err)
		}
		line := jsonLine
		if o.LogFormat == "legacy" {
			line = legacyLine
		}
		sinks = append(sinks, o.log.wrap("log", &file{out: out, line: line}, false))
	}
	return &Auditor{policy: policy, sink: sinks}, nil
}

// wrap puts before a sink what the options ask for.
func (d *delivery) wrap(name string, to sink, aside bool) sink {
	switch d.mode {
	case modeBlocking:
		to = lenient{to}
	case modeBatch:
		buffered := &batching{sink: to, name: name, size: d.size, wait: d.wait, aside: aside, buffer: make(chan *Event, d.buffer)}
		if d.throttle {
			buffered.limit = rate.NewLimiter(rate.Limit(d.qps), d.burst)
		}
		to = buffered.start()
	}
	if d.truncate {
		to = &truncating{sink: to, maxEvent: d.maxEvent, maxBatch: d.maxBatch}
	}
	return to
}

// openLog makes the log, for its owner's eyes only.
func (o *Options) openLog() (io.Writer, error) {
	if o.LogPath == "-" {
		return standardOutput{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(o.LogPath), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(o.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if o.LogMaxMB == 0 {
		return f, nil
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return &lumberjack.Logger{
		Filename: o.LogPath, MaxAge: o.LogMaxAge, MaxBackups: o.LogMaxBackups, MaxSize: o.LogMaxMB, Compress: o.LogCompress,
	}, nil
}

// standardOutput is never closed.
type standardOutput struct{}

// Write is io.Writer.
func (standardOutput) Write(p []byte) (int, error) { return os.Stdout.Write(p) }

func (o *Options) check() error {
	var errs []error
	if o.LogPath != "" {
		errs = append(errs, o.log.check("log", o.logVersion)...)
		if !slices.Contains([]string{"json", "legacy"}, o.LogFormat) {
			errs = append(errs, fmt.Errorf("--audit-log-format: %q is neither json nor legacy", o.LogFormat))
		}
		for _, flag := range []struct {
			name  string
			value int
		}{{"maxage", o.LogMaxAge}, {"maxbackup", o.LogMaxBackups}, {"maxsize", o.LogMaxMB}} {
			if flag.value < 0 {
				errs = append(errs, fmt.Errorf("--audit-log-%s %d can't be a negative number", flag.name, flag.value))
			}
		}
	}
	if o.WebhookFile != "" {
		errs = append(errs, o.webhook.check("webhook", o.webhookVersion)...)
	}
	return errors.Join(errs...)
}

func (d *delivery) check(sink, version string) []error {
	var errs []error
	refuse := func(flag, format string, args ...any) {
		errs = append(errs, fmt.Errorf("--audit-%s-%s: %s", sink, flag, fmt.Sprintf(format, args...)))
	}
	if version != apiVersion {
		refuse("version", "%q is not %s, the only one there is", version, apiVersion)
	}
	modes := []string{modeBatch, modeBlocking, modeStrict}
	if !slices.Contains(modes, d.mode) {
		refuse("mode", "%q is not one of %s", d.mode, strings.Join(modes, ", "))
	}
	if d.mode == modeBatch {
		for _, flag := range []struct {
			name string
			good bool
		}{
			{"batch-buffer-size", d.buffer > 0}, {"batch-max-size", d.size > 0},
			{"batch-throttle-qps", !d.throttle || d.qps > 0}, {"batch-throttle-burst", !d.throttle || d.burst > 0},
		} {
			if !flag.good {
				refuse(flag.name, "must be a positive number")
			}
		}
	}
	if d.maxEvent <= 0 {
		refuse("truncate-max-event-size", "must be a positive number")
	}
	if d.maxBatch < d.maxEvent {
		refuse("truncate-max-batch-size", "%d is less than that of an event, %d", d.maxBatch, d.maxEvent)
	}
	return errs
}
