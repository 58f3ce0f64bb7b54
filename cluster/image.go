package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/septet-io/septet/cluster/containerd"
	"github.com/septet-io/septet/daemon"
)

// ImageCommand is `septet image`.
func ImageCommand() *cobra.Command {
	cmd := daemon.Quiet(&cobra.Command{Use: "image", Short: "Images, without a registry"})
	dataDir := ""
	load := daemon.Quiet(&cobra.Command{
		Use: "load FILE", Short: "Import the images of an OCI or Docker archive into all nodes of this machine", Args: cobra.ExactArgs(1),
	})
	load.Flags().StringVar(&dataDir, "data-dir", DefaultDataDir, "directory of all state")
	load.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := os.Stat(args[0]); err != nil {
			return err
		}
		nodes, err := nodesOf(dataDir)
		if err != nil {
			return err
		}
		for _, node := range nodes {
			names, err := containerd.Import(cmd.Context(), node.runtimeConfig(), args[0])
			if err != nil {
				return err
			}
			for _, name := range names {
				fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", node.NodeName, name)
			}
		}
		return nil
	}
	cmd.AddCommand(load)
	return cmd
}

// nodesOf finds the nodes of this machine by what they have in the data directory: its own, and those of further ones.
func nodesOf(dataDir string) ([]*nodeParts, error) {
	absolute, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	var nodes []*nodeParts
	for _, pattern := range []string{
		filepath.Join(absolute, "containerd", "*"), filepath.Join(absolute, "machines", "*", "containerd", "*"),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, dir := range found {
			data, name := filepath.Dir(filepath.Dir(dir)), filepath.Base(dir)
			nodes = append(nodes, &nodeParts{Options: Options{DataDir: data, NodeName: name}, paths: paths{data, name}})
		}
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("there is no node with a container runtime of septet below %s", dataDir)
	}
	return nodes, nil
}
