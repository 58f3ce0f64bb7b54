package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

// Purge ends the node's pods and its containerd and removes everything that it had on this machine: processes, mounts,
// network namespaces, what the carried network plugin made, cgroups, images, snapshots and sockets.
func (r *Runtime) Purge(ctx context.Context) error {
	r.halt()
	return Purge(ctx, r.config)
}

// Purge is Runtime.Purge for a node whose runtime nobody watches over; it need not even run. First containerd, if it
// answers, ends the pods in order, so that their networks are torn down by those who made them; then whatever is left is
// removed by force.
func Purge(ctx context.Context, config Config) error {
	c, err := config.withDefaults()
	if err != nil {
		return err
	}
	log := klog.FromContext(ctx).WithValues("node", c.NodeName)
	r := &Runtime{config: c}
	running, err := r.find()
	if err != nil {
		return err
	}
	if running != nil {
		orderly, cancel := context.WithTimeout(ctx, 30*time.Second)
		if err := removePods(orderly, c); err != nil {
			log.Info("Not every pod ended in order; ending them by force", "err", err)
		}
		cancel()
		if err := running.terminate(ctx); err != nil {
			return err
		}
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"ending shims and containers", func() error { return killPods(c) }},
		{"removing the pod network", func() error { return purgeNetwork(ctx, c) }},
		{"unmounting", func() error { return unmountBelow(c.StateDir, c.root()) }},
		{"removing cgroups", func() error { return removeCgroups(c.CgroupParent) }},
		{"removing files", func() error {
			return errors.Join(os.RemoveAll(c.StateDir), os.RemoveAll(c.shimSockets()), os.RemoveAll(c.root()))
		}},
	}
	for _, step := range steps {
		if e := step.do(); e != nil {
			err = errors.Join(err, fmt.Errorf("containerd: %s: %w", step.what, e))
		}
	}
	// The folders that nodes share go with the last of them; a folder that is not empty cannot be removed.
	for _, shared := range []string{filepath.Dir(c.root()), filepath.Dir(c.shimSockets()), "/run/septet"} {
		_ = os.Remove(shared)
	}
	return err
}

// removePods stops and removes all pods through CRI, a few at a time.
func removePods(ctx context.Context, c Config) error {
	return withCRI(c, func(conn *grpc.ClientConn) error {
		cri := runtimeapi.NewRuntimeServiceClient(conn)
		pods, err := cri.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
		if err != nil {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(4)
		for _, pod := range pods.Items {
			group.Go(func() error {
				if _, err := cri.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: pod.Id}); err != nil {
					return err
				}
				_, err := cri.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod.Id})
				return err
			})
		}
		return group.Wait()
	})
}
