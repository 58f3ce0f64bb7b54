// Package dns runs the cluster's name server, CoreDNS with its kubernetes plugin, in this process, and makes the
// Service by which Pods reach it.
package dns

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"k8s.io/klog/v2"

	// The plugins that the configuration below names; their order is CoreDNS's own.
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
)

// Config says where the name server listens and what it answers for.
type Config struct {
	// Address and Port are those of this node; Pods come to them through the Service.
	Address string
	Port    int
	// Domain is the cluster's: "cluster.local".
	Domain string
	// Kubeconfig is the file through which the name server follows Services.
	Kubeconfig string
	// ResolvConf names the servers for everything else; /etc/resolv.conf if empty.
	ResolvConf string
}

// Run answers names until ctx ends. It returns an error if the port is taken or the configuration is not understood.
func Run(ctx context.Context, config Config) error {
	caddy.Quiet, dnsserver.Quiet = true, true
	log.SetOutput(logWriter{})
	instance, err := caddy.Start(caddy.CaddyfileInput{
		Contents: []byte(config.corefile()), Filepath: "Corefile", ServerTypeName: "dns",
	})
	klog.ClearLogger() // the kubernetes plugin takes klog over, for all of the process
	if err != nil {
		return fmt.Errorf("name server on %s port %d: %w", config.Address, config.Port, err)
	}
	<-ctx.Done()
	return instance.Stop()
}

// corefile is CoreDNS's configuration: what kubeadm's clusters have, less what watches files or serves metrics.
func (c *Config) corefile() string {
	var b strings.Builder
	fmt.Fprintf(&b, ".:%d {\n bind %s\n errors\n", c.Port, c.Address)
	fmt.Fprintf(&b, " kubernetes %s in-addr.arpa ip6.arpa {\n  kubeconfig %q\n  pods insecure\n  fallthrough in-addr.arpa ip6.arpa\n  ttl 30\n }\n", c.Domain, c.Kubeconfig)
	if upstream := c.upstream(); len(upstream) > 0 {
		fmt.Fprintf(&b, " forward . %s {\n  max_concurrent 1000\n }\n", strings.Join(upstream, " "))
	}
	fmt.Fprintf(&b, " cache 30 {\n  disable success %s\n  disable denial %s\n }\n loadbalance\n}\n", c.Domain, c.Domain)
	return b.String()
}

// upstream returns the servers of resolv.conf, without the address of this very server, which would be a loop.
func (c *Config) upstream() []string {
	file := c.ResolvConf
	if file == "" {
		file = "/etc/resolv.conf"
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil // a machine without DNS has only the cluster's names
	}
	var servers []string
	for _, line := range strings.Split(string(data), "\n") {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" || net.ParseIP(strings.Split(words[1], "%")[0]) == nil {
			continue
		}
		if words[1] != c.Address {
			servers = append(servers, words[1])
		}
	}
	return servers
}

// logWriter passes on what CoreDNS says from -v 2 on. It must not go through klog, which the kubernetes plugin for a moment
// leads back here.
type logWriter struct{}

func (logWriter) Write(line []byte) (int, error) {
	if !klog.V(2).Enabled() {
		return len(line), nil
	}
	return os.Stderr.Write(line)
}
