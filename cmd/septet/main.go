// Command septet is Kubernetes in one binary. Called under the name of a component (by a link), it is that component.
package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/cloud"
	"github.com/septet-io/septet/cluster"
	"github.com/septet-io/septet/controllers"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/kubelet"
	"github.com/septet-io/septet/proxy"
	"github.com/septet-io/septet/scheduler"
)

func main() {
	root := daemon.Quiet(&cobra.Command{
		Use: "septet", Short: "Kubernetes in one binary: a cluster, a node, or any one component",
		Version: daemon.SeptetVersion + " (Kubernetes " + daemon.KubernetesVersion + ")",
	})
	root.AddCommand(
		cluster.ServerCommand(), cluster.AgentCommand(), cluster.KubectlCommand(), cluster.StatusCommand(),
		cluster.ImageCommand(), cluster.TokenCommand(), cluster.CheckCommand(), cluster.DownCommand(), cluster.JourneyCommand(), scheduler.WhyCommand(),
		apiserver.Command(), etcd.Command(), scheduler.Command(), controllers.Command(), cloud.Command(), kubelet.Command(), proxy.Command(),
	)
	if name := filepath.Base(os.Args[0]); name != "septet" {
		if component, _, err := root.Find([]string{name}); err == nil && component != root {
			root.SetArgs(append([]string{name}, os.Args[1:]...))
		}
	}
	os.Exit(daemon.Main(root))
}
