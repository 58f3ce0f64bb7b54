package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/septet-io/septet/cluster/dns"
	"github.com/septet-io/septet/pki"
)

// material is what the cluster's members trust each other by.
type material struct {
	authority, frontProxy *pki.Authority
}

const adminContext = "septet"

// ensureMaterial makes or renews certificates, keys and kubeconfigs. It is run at start and then from time to time; who
// uses the files reads them again when they change.
func (o *Options) ensureMaterial() (*material, error) {
	p := paths{o.DataDir, o.NodeName}
	m := &material{}
	var err error
	if m.authority, err = pki.LoadOrCreateAuthority(p.pki("ca.crt"), p.pki("ca.key"), "kubernetes"); err != nil {
		return nil, err
	}
	if m.frontProxy, err = pki.LoadOrCreateAuthority(p.pki("front-proxy-ca.crt"), p.pki("front-proxy-ca.key"), "front-proxy-ca"); err != nil {
		return nil, err
	}
	if err := pki.EnsureSigningKey(p.pki("sa.key"), p.pki("sa.pub")); err != nil {
		return nil, fmt.Errorf("service account key: %w", err)
	}
	for _, leaf := range []struct {
		by   *pki.Authority
		name string
		pki.Leaf
	}{
		{m.authority, "apiserver", pki.Leaf{CommonName: "kube-apiserver", Hosts: o.serverNames(), Server: true}},
		{m.authority, "apiserver-kubelet-client", pki.Leaf{CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"septet:kubelet-clients"}, Client: true}},
		{m.authority, "kubelet", pki.Leaf{
			CommonName: "system:node:" + o.NodeName, Organizations: []string{"system:nodes"}, Hosts: []string{o.NodeName, o.NodeIP, "127.0.0.1"}, Server: true,
		}},
		{m.frontProxy, "front-proxy-client", pki.Leaf{CommonName: "front-proxy-client", Client: true}},
	} {
		if _, err := leaf.by.Ensure(p.pki(leaf.name+".crt"), p.pki(leaf.name+".key"), leaf.Leaf); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", leaf.name, err)
		}
	}
	local := o.localURL()
	admin := pki.Leaf{CommonName: "septet-admin", Organizations: []string{"system:masters"}}
	if _, err := m.authority.EnsureKubeconfig(p.admin(), local, adminContext, admin); err != nil {
		return nil, fmt.Errorf("admin kubeconfig: %w", err)
	}
	if _, err := m.authority.EnsureKubeconfig(p.dns(), local, adminContext, pki.Leaf{CommonName: dns.User}); err != nil {
		return nil, fmt.Errorf("name server's kubeconfig: %w", err)
	}
	return m, nil
}

// localURL is where programs on this machine reach the API server.
func (o *Options) localURL() string {
	host := "127.0.0.1"
	if bind, err := netip.ParseAddr(o.BindAddress); err == nil && !bind.IsUnspecified() {
		host = o.BindAddress
	}
	return fmt.Sprintf("https://%s", net.JoinHostPort(host, fmt.Sprint(o.Port)))
}

// serverNames are all names and addresses under which the API server is called.
func (o *Options) serverNames() []string {
	services := netip.MustParsePrefix(o.ServiceCIDR)
	names := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + o.ClusterDomain,
		"localhost", "127.0.0.1", "::1", services.Masked().Addr().Next().String(), o.NodeIP, o.NodeName, nodesGateway,
	}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if bind, err := netip.ParseAddr(o.BindAddress); err == nil && !bind.IsUnspecified() {
		names = append(names, o.BindAddress)
	}
	return append(names, o.ServerNames...)
}
