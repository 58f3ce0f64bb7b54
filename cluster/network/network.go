// Package network connects Pods: it writes the node's CNI configuration once the node has a range of addresses, keeps
// routes to the ranges of the other nodes, and masquerades what leaves the cluster.
package network

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Config says which node this is and where its CNI configuration goes.
type Config struct {
	NodeName string
	// Informers deliver all nodes. They may be shared; Run starts what it needs of them.
	Informers informers.SharedInformerFactory
	// ConfDir is the folder that the container runtime reads CNI configurations from.
	ConfDir string
	// StateDir is where the plugin notes which addresses are taken; it ends with the machine's uptime.
	StateDir string
	// Bridge is the network device that the node's Pods are attached to.
	Bridge string
	// ClusterCIDRs are the ranges of all Pods; what Pods send elsewhere is masqueraded.
	ClusterCIDRs []string
	// MTU of the Pods' devices; 1500 if zero.
	MTU int
}

// retry is the pause after a failure, for example of a route to a node that is not reachable yet.
const retry = 2 * time.Second

// Run keeps the node's part of the Pod network until ctx ends. What it made stays, so that Pods keep their network.
func Run(ctx context.Context, config Config) error {
	nodes := config.Informers.Core().V1().Nodes()
	wake := make(chan struct{}, 1)
	signal := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { signal() },
		UpdateFunc: func(old, obj any) {
			if !sameNetwork(old.(*corev1.Node), obj.(*corev1.Node)) {
				signal()
			}
		},
		DeleteFunc: func(any) { signal() },
	}
	registration, err := nodes.Informer().AddEventHandler(handler)
	if err != nil {
		return fmt.Errorf("pod network: %w", err)
	}
	defer func() {
		if err := nodes.Informer().RemoveEventHandler(registration); err != nil {
			klog.FromContext(ctx).V(2).Info("Handler not removed", "err", err)
		}
	}()
	config.Informers.StartWithContext(ctx) // others that share them may have started theirs before this one was asked for
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
		if err := config.sync(nodes.Lister()); err != nil {
			klog.FromContext(ctx).Error(err, "Pod network; trying again")
			time.AfterFunc(retry, signal)
		}
	}
}

// sameNetwork spares the work at each heartbeat.
func sameNetwork(a, b *corev1.Node) bool {
	return slices.Equal(a.Spec.PodCIDRs, b.Spec.PodCIDRs) && slices.Equal(a.Status.Addresses, b.Status.Addresses)
}

func (c *Config) sync(lister corelisters.NodeLister) error {
	nodes, err := lister.List(labels.Everything())
	if err != nil {
		return err
	}
	var own []string
	var wanted []route
	for _, node := range nodes {
		if node.Name == c.NodeName {
			own = node.Spec.PodCIDRs
			continue
		}
		wanted = append(wanted, routesTo(node)...)
	}
	if len(own) == 0 {
		return nil // the node has no range yet; its update will wake us
	}
	if err := forwarding(); err != nil {
		return err
	}
	if err := Masquerade(tableName, own, c.ClusterCIDRs); err != nil {
		return fmt.Errorf("masquerade: %w", err)
	}
	if err := c.writeConf(own); err != nil {
		return err
	}
	return syncRoutes(wanted)
}

// forwarding lets the kernel pass packets between devices.
func forwarding() error {
	for _, file := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		now, err := os.ReadFile(file)
		if os.IsNotExist(err) || err == nil && strings.TrimSpace(string(now)) == "1" {
			continue
		}
		if err := os.WriteFile(file, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("pod network: %w", err)
		}
	}
	return nil
}

// confFile is read before other configurations that an administrator may have left.
const confFile = "05-septet.conflist"

// writeConf writes the CNI configuration if it is not there already. The runtime watches the folder.
func (c *Config) writeConf(subnets []string) error {
	data, err := conflist(c.Bridge, c.StateDir, c.MTU, subnets)
	if err != nil {
		return err
	}
	file := filepath.Join(c.ConfDir, confFile)
	if have, err := os.ReadFile(file); err == nil && string(have) == string(data) {
		return nil
	}
	if err := os.MkdirAll(c.ConfDir, 0o755); err != nil {
		return fmt.Errorf("CNI configuration: %w", err)
	}
	// The runtime must never read half a file, and takes only names that end in .conflist.
	temp := filepath.Join(c.ConfDir, "."+confFile+".new")
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return fmt.Errorf("CNI configuration: %w", err)
	}
	if err := os.Rename(temp, file); err != nil {
		return fmt.Errorf("CNI configuration: %w", err)
	}
	return nil
}
