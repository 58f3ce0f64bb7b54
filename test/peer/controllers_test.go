package peer_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/controllers"
	testapi "github.com/septet-io/septet/test/apiserver"
	"github.com/septet-io/septet/test/peer"
)

// Upstream's controllers do their work against our server as they do against their own.
func TestUpstreamsControllersOnOurServer(t *testing.T) {
	t.Parallel()
	binary := peer.Program(t, "SEPTET_PEER_CONTROLLERS")
	var m peer.Material
	server := testapi.StartComplete(t, func(s *apiserver.Standard) {
		m = peer.Material{CACert: s.ClientCAFile, CAKey: filepath.Join(filepath.Dir(s.ClientCAFile), "ca.key"), AccountKey: s.SigningKeyFile}
		s.DisablePlugins = nil // upstream's controllers make the default service accounts
	})
	p, err := peer.Controllers(t.TempDir(), binary, m, peer.Kubeconfig(t, server.CA, server.URL, "system:kube-controller-manager"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	tell(t, peer.Client(t, peer.Kubeconfig(t, server.CA, server.URL, "admin", "system:masters"), "admin"), p.Output)
}

// Ours do theirs against upstream's server, started by kubeadm's flags.
func TestOurControllersOnUpstreamsServer(t *testing.T) {
	t.Parallel()
	server := peer.StartServer(t)
	run(t, controllers.Command(), append(peer.ControllerArgs(server.Material, server.Kubeconfig("system:kube-controller-manager")), "--secure-port=0")...)
	tell(t, server.Client("admin", "system:masters"), func() string { return "" })
}

// run executes a component's command in this process until the test ends.
func run(t *testing.T, command *cobra.Command, args ...string) {
	t.Helper()
	command.SetArgs(args)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := command.ExecuteContext(ctx); err != nil {
			t.Errorf("%s: %v", command.Name(), err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}
