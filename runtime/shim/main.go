// Command containerd-shim-runc-v2 is the small process that stays beside every pod: it starts the pod's containers
// with runc, reaps them, holds their standard streams, and keeps them alive while containerd restarts.
//
// It is a binary of its own because there is one such process per pod: linked into containerd it would start 25 ms
// later and hold twice the memory. It is containerd's shim, and differs from it in one thing: most of what the shim
// executes runc for, it does itself (see quick.go), because starting runc costs 5 ms of CPU each time, and a pod's life
// calls it a dozen times.
package main

import (
	"context"

	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/manager"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/task/plugin" // registers the task service
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/go-runc"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
)

func main() {
	// For `shim delete`, which is a process of its own.
	runc.Monitor = quick{runc.Monitor}
	// For the daemon: the task service puts a monitor of its own in place, so this must come after it.
	registry.Register(&plugin.Registration{
		Type:     "io.septet.shim.v1",
		ID:       "quick",
		Requires: []plugin.Type{plugins.TTRPCPlugin},
		InitFn: func(*plugin.InitContext) (any, error) {
			runc.Monitor = quick{runc.Monitor}
			return struct{}{}, nil
		},
	})
	shim.RunShim(context.Background(), manager.NewShimManager("io.containerd.runc.v2"))
}
