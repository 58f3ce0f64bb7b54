package daemon

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/version"
)

// Set by the linker: the API version that is spoken, septet's own version, and what it was built from.
var (
	KubernetesVersion = "v1.36.6"
	SeptetVersion     = "v0.1.0"
	Commit            = ""
	BuildDate         = "1970-01-01T00:00:00Z"
)

// Version is what /version and clients show.
func Version() version.Info {
	parts := strings.SplitN(strings.TrimPrefix(KubernetesVersion, "v"), ".", 3)
	return version.Info{
		Major: parts[0], Minor: parts[1], GitVersion: KubernetesVersion + "+septet." + strings.TrimPrefix(SeptetVersion, "v"),
		EmulationMajor: parts[0], EmulationMinor: parts[1], MinCompatibilityMajor: parts[0], MinCompatibilityMinor: "35",
		GitCommit: Commit, GitTreeState: "clean", BuildDate: BuildDate,
		GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// UserAgent names a component in requests, as upstream's do: "kubelet/v1.36.6 (linux/amd64) septet".
func UserAgent(component string) string {
	return fmt.Sprintf("%s/%s (%s/%s) septet", component, KubernetesVersion, runtime.GOOS, runtime.GOARCH)
}

func addVersionFlag(flags *pflag.FlagSet) {
	flags.String("version", "false", `print the version and exit; "raw" prints all of it`)
	flags.Lookup("version").NoOptDefVal = "true"
}

func printVersion(cmd *cobra.Command, how string) error {
	switch how {
	case "true":
		fmt.Fprintf(cmd.OutOrStdout(), "Kubernetes %s\n", KubernetesVersion)
	case "raw":
		fmt.Fprintf(cmd.OutOrStdout(), "%#v\n", Version())
	default:
		return UsageError("--version=%s: must be true, false or raw", how)
	}
	return nil
}
