// Package daemon is what every process of the project shares: a command line in upstream's manner, logs,
// signals, the version, serving of health and metrics, and certificates that are read again when their files change.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

// Exit codes of every command.
const (
	ExitFailure = 1 // it was asked rightly and failed
	ExitUsage   = 2 // it was asked wrongly: an unknown flag or argument
)

// usageError marks an error in how a command was called.
type usageError struct{ error }

// UsageError returns an error that ends the process with ExitUsage.
func UsageError(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// Component returns the command of one component: its flags in upstream's names (underscores are taken as dashes), -v
// and the other logging flags, and --version. run is called with a context that ends on SIGINT or SIGTERM.
func Component(name, short string, flags func(*pflag.FlagSet), run func(ctx context.Context) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Long: short,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return UsageError("unexpected argument %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version, err := cmd.Flags().GetString("version"); err == nil && version != "false" {
				return printVersion(cmd, version)
			}
			if err := applyLogging(cmd.Flags()); err != nil {
				return err
			}
			return run(cmd.Context())
		},
	}
	cmd.Flags().SetNormalizeFunc(dashes)
	flags(cmd.Flags())
	addVersionFlag(cmd.Flags())
	addLoggingFlags(cmd.Flags())
	return Quiet(cmd)
}

// Quiet makes a command report errors through Main alone, without usage text, and mark flag errors as usage errors.
func Quiet(cmd *cobra.Command) *cobra.Command {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.CompletionOptions.DisableDefaultCmd = true
	return cmd
}

// Main runs a command to its end and returns the exit code. Errors are one line on standard error.
func Main(cmd *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	defer klog.Flush()
	executed, err := cmd.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if code, silent := exitStatus(err); silent {
		return code
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", nameOf(executed), strings.TrimSpace(err.Error()))
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		return ExitUsage
	}
	return ExitFailure
}

// nameOf is what a command is known by: "image load", or "kube-apiserver", whether or not it was called by a link of that name.
func nameOf(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// exitStatus recognizes the error of a child process that has said what was wrong itself.
func exitStatus(err error) (code int, silent bool) {
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		return exit.ExitCode(), true
	}
	return 0, false
}

func dashes(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
}
