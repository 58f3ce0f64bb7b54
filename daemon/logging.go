package daemon

import (
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

// addLoggingFlags adds -v, --vmodule, --logging-format and what upstream's components have beside it. Everything else that klog has is left at rest.
func addLoggingFlags(flags *pflag.FlagSet) {
	if flags.Lookup("v") != nil {
		return
	}
	var all flag.FlagSet
	klog.InitFlags(&all)
	for _, name := range []string{"v", "vmodule"} {
		flags.AddGoFlag(all.Lookup(name))
	}
	flags.String("logging-format", "text", `how log lines are written: "text" or "json"`)
	flags.Duration("log-flush-frequency", 0, "accepted for compatibility: lines are written at once")
	for _, format := range []string{"text", "json"} {
		flags.String("log-"+format+"-info-buffer-size", "", "accepted for compatibility: lines are written at once")
		flags.Bool("log-"+format+"-split-stream", false, "accepted for compatibility: all lines go to standard error")
	}
	flags.Lookup("v").Usage = "how much to log: 0 is errors and rare facts only, 4 is debugging"
}

func applyLogging(flags *pflag.FlagSet) error {
	format, err := flags.GetString("logging-format")
	if err != nil {
		return nil // a command without logging flags
	}
	switch format {
	case "text":
		return nil
	case "json":
		handler := slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.Level(-127)})
		klog.SetLoggerWithOptions(logr.FromSlogHandler(handler), klog.ContextualLogger(true))
		return nil
	}
	return UsageError("--logging-format=%s: must be text or json", format)
}

// SetVerbosity sets -v for the whole process; for commands that are made of several components.
func SetVerbosity(level int) error {
	var all flag.FlagSet
	klog.InitFlags(&all)
	if err := all.Set("v", fmt.Sprint(level)); err != nil {
		return fmt.Errorf("-v=%d: %w", level, err)
	}
	return nil
}
