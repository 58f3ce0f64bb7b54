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
	"runtime/debug"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
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
			debug.SetGCPercent(100) // a heap of 2 MB that is collected at 40 % is collected all the time
			return struct{}{}, nil
		},
	})
	shim.RunShim(context.Background(), brief{manager.NewShimManager("io.containerd.runc.v2")})
}

// brief turns garbage collection off in the processes that live for milliseconds only: `shim start` and `shim delete`.
type brief struct {
	shim.Shim
}

func (b brief) Start(ctx context.Context, params *bootapi.BootstrapParams) (*bootapi.BootstrapResult, error) {
	debug.SetGCPercent(-1)
	return b.Shim.Start(ctx, params)
}

func (b brief) Stop(ctx context.Context, id string) (shim.StopStatus, error) {
	debug.SetGCPercent(-1)
	return b.Shim.Stop(ctx, id)
}
