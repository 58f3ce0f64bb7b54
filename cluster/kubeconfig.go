package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/septet-io/septet/pki"
)

// userKubeconfig is the file that kubectl reads; empty if there is to be none.
func (o *Options) userKubeconfig() (string, error) {
	switch o.Kubeconfig {
	case "none":
		return "", nil
	case "":
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("home directory: %w (say --write-kubeconfig)", err)
		}
		return filepath.Join(home, ".kube", "config"), nil
	}
	return o.Kubeconfig, nil
}

// mergeKubeconfig puts the cluster into the user's kubeconfig.
func (o *Options) mergeKubeconfig() error {
	file, err := o.userKubeconfig()
	if err != nil || file == "" {
		return err
	}
	return pki.MergeKubeconfig(paths{o.DataDir, o.NodeName}.admin(), file, adminContext)
}
