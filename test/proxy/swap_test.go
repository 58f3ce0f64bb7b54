package proxy

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/google/nftables"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/proxy"
	"github.com/septet-io/septet/proxy/nft"
	"github.com/septet-io/septet/test/apiserver"
	"github.com/septet-io/septet/test/peer"
)

// elements is the number of elements of a set or map in a table, 0 as long as there is none.
func elements(t *testing.T, table, name string) int {
	t.Helper()
	conn, err := nftables.New()
	must(t, err)
	set, err := conn.GetSetByName(&nftables.Table{Name: table, Family: nftables.TableFamilyIPv4}, name)
	if err != nil {
		return 0
	}
	found, err := conn.GetSetElements(set)
	must(t, err)
	return len(found)
}

// reach waits until a set has so many elements.
func reach(t *testing.T, table, name string, n int, log func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for elements(t, table, name) != n {
		select {
		case <-ctx.Done():
			t.Fatalf("%d elements in %s %s, not %d\n%s", elements(t, table, name), table, name, n, log())
		case <-tick.C:
		}
	}
}

// Upstream's kube-proxy writes rules for what our server tells it, and follows changes.
func TestUpstreamsProxyOnOurServer(t *testing.T) {
	binary := peer.Program(t, "SEPTET_PEER_PROXY")
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("upstream's kube-proxy needs nft")
	}
	if !alone(t, "-test.run=^TestUpstreamsProxyOnOurServer$", "-test.v") {
		return
	}
	s := apiserver.Start(t)
	offer(t, s.Client(), 10, 3)                                                                                                           // the first addresses are others'
	p, err := peer.Proxy(t.TempDir(), binary, "nftables", "node", peer.Kubeconfig(t, s.CA, s.URL, "system:kube-proxy", "system:masters")) // this server has no roles
	must(t, err)
	t.Cleanup(p.Stop)
	reach(t, "kube-proxy", "service-ips", 3, p.Output)
	must(t, s.Client().CoreV1().Services("default").Delete(t.Context(), "web-11", metav1.DeleteOptions{}))
	reach(t, "kube-proxy", "service-ips", 2, p.Output)
}

// Our kube-proxy does the same for upstream's server, by upstream's flags and role, be the mode nftables or iptables.
func TestOurProxyOnUpstreamsServer(t *testing.T) {
	peer.Program(t, "SEPTET_PEER_APISERVER")
	if !alone(t, "-test.run=^TestOurProxyOnUpstreamsServer$", "-test.v") {
		return
	}
	server := peer.StartServer(t)
	admin := server.Client("admin", "system:masters")
	offer(t, admin, 10, 3)
	command := proxy.Command()
	command.SetArgs(peer.ProxyArgs("iptables", "node", server.Kubeconfig("system:kube-proxy")))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- command.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-done)
	})
	none := func() string { return "" }
	reach(t, nft.TableName, "endpoints", 15, none)
	must(t, admin.CoreV1().Services("default").Delete(t.Context(), "web-11", metav1.DeleteOptions{}))
	reach(t, nft.TableName, "endpoints", 10, none)
}
