package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"

	"github.com/septet-io/septet/cloud/local"
	"github.com/septet-io/septet/cluster/containerd"
	"github.com/septet-io/septet/cluster/network"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/pki"
	"github.com/septet-io/septet/proxy"
)

// DownCommand is `septet down`.
func DownCommand() *cobra.Command {
	o := &Options{}
	cmd := daemon.Quiet(&cobra.Command{
		Use: "down", Short: "Stop everything and remove all that septet left on this machine", Args: cobra.NoArgs,
	})
	cmd.Flags().StringVar(&o.DataDir, "data-dir", DefaultDataDir, "directory of all state, which is removed")
	cmd.Flags().StringVar(&o.Kubeconfig, "write-kubeconfig", "", `file out of which the context "septet" is taken; ~/.kube/config if empty, "none" for no file`)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return Down(cmd.Context(), *o) }
	return cmd
}

// Down stops the server and all agents of a data directory, ends their Pods and removes what they made: processes,
// mounts, network devices, kernel rules, cgroups and files. What is not there is no error.
func Down(ctx context.Context, o Options) error {
	data, err := filepath.Abs(o.DataDir)
	if err != nil {
		return err
	}
	o.DataDir = data
	machines, err := filepath.Glob(filepath.Join(data, "machines", "*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range append([]string{data}, machines...) {
		errs = append(errs, stop(ctx, paths{data: dir}))
	}
	nodes, err := nodesOf(data)
	if err == nil {
		for _, node := range nodes {
			errs = append(errs, node.remove(ctx))
		}
	}
	for _, dir := range machines {
		errs = append(errs, neighbour{data: dir}.space().remove())
	}
	node := hadNode(data)
	if node {
		errs = append(errs, removeNodeState())
	}
	errs = append(errs, local.Device(BalancerDevice).Remove(), paths{data: data}.restoreHost(kernelSettings), unmountBelow(data), removeCgroupParents())
	if err := errors.Join(errs...); err != nil {
		return err // the files stay, so that a second try finds what is left
	}
	if file, err := o.userKubeconfig(); err == nil && file != "" {
		errs = append(errs, pki.RemoveFromKubeconfig(file, adminContext))
	}
	if node {
		errs = append(errs, removeRunDir())
	}
	return errors.Join(append(errs, os.RemoveAll(data))...)
}

// hadNode is false for the data of a control plane alone: the network of Pods on this machine, if there is one, belongs to somebody
// else then. If the directory is gone there is nobody to ask, and all that has septet's name goes.
func hadNode(data string) bool {
	if _, err := os.Stat(data); err != nil {
		return true
	}
	_, err := os.Stat(paths{data: data}.ofNode())
	return err == nil
}

// stopWithin is how long a server may take to drain.
const stopWithin = 20 * time.Second

// stop ends the process that has claimed a data directory, by force if it does not end by itself.
func stop(ctx context.Context, p paths) error {
	pid, err := runningPID(p)
	if err != nil || pid == 0 {
		return err
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		return fmt.Errorf("stop process %d: %w", pid, err)
	}
	for deadline := time.Now().Add(stopWithin); ; {
		if again, err := runningPID(p); err != nil || again == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return unix.Kill(pid, unix.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// remove ends a node's Pods and runtime and removes what they made.
func (n *nodeParts) remove(ctx context.Context) error {
	return errors.Join(containerd.Purge(ctx, n.runtimeConfig()), unmountBelow(n.DataDir))
}

// removeNodeState removes the network devices, routes and rules of Pods and further nodes.
func removeNodeState() error {
	return errors.Join(network.Remove(podBridge), network.RemoveMasquerade(nodesTable), proxy.Cleanup(), removeLink(nodesBridge))
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

// unmountBelow unmounts everything in a directory, the innermost first.
func unmountBelow(dir string) error {
	mounter := mount.New("")
	all, err := mounter.List()
	if err != nil {
		return err
	}
	var errs []error
	for i := len(all) - 1; i >= 0; i-- {
		if inside(dir, all[i].Path) {
			errs = append(errs, unix.Unmount(all[i].Path, unix.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}

func inside(dir, path string) bool {
	relative, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(relative)
}

// removeCgroupParents removes the cgroup that held those of all nodes, in every hierarchy, unless another septet uses it.
func removeCgroupParents() error {
	found, err := filepath.Glob("/sys/fs/cgroup/*/septet")
	if err != nil {
		return err
	}
	for _, dir := range append(found, "/sys/fs/cgroup/septet") {
		err := unix.Rmdir(dir)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// removeRunDir removes the directory of sockets if no other septet has anything in it.
func removeRunDir() error {
	if err := os.RemoveAll("/run/septet/cni"); err != nil {
		return err
	}
	err := os.Remove("/run/septet")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
