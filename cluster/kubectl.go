package cluster

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/septet-io/septet/cluster/carried"
	"github.com/septet-io/septet/daemon"
)

// KubectlCommand is `septet kubectl …`: the carried kubectl, which takes this process's place. Without a KUBECONFIG it
// uses the cluster of this machine.
func KubectlCommand() *cobra.Command {
	cmd := daemon.Quiet(&cobra.Command{
		Use: "kubectl", Short: "The carried kubectl", DisableFlagParsing: true,
	})
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir, err := carried.Unpack(kubectlDir(), carried.Kubectl)
		if err != nil {
			return err
		}
		env := os.Environ()
		admin := paths{data: DefaultDataDir}.admin()
		if _, err := os.Stat(admin); err == nil && os.Getenv("KUBECONFIG") == "" {
			env = append(env, "KUBECONFIG="+admin)
		}
		file := filepath.Join(dir, carried.Kubectl)
		return unix.Exec(file, append([]string{"kubectl"}, args...), env)
	}
	return cmd
}

// kubectlDir is where kubectl is unpacked: with all else if that can be written, else in the user's own cache.
func kubectlDir() string {
	if os.Geteuid() == 0 {
		return DefaultDataDir
	}
	if cache, err := os.UserCacheDir(); err == nil {
		return filepath.Join(cache, "septet")
	}
	return os.TempDir()
}
