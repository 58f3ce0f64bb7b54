// Command containerd-shim-runc-v2 is the small process that stays beside every pod: it starts the pod's containers
// with runc, reaps them, holds their standard streams, and keeps them alive while containerd restarts.
//
// It is a binary of its own because there is one such process per pod: linked into containerd it would start 25 ms
// later and hold twice the memory.
package main

import (
	"context"

	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/manager"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/task/plugin" // registers the task service
	"github.com/containerd/containerd/v2/pkg/shim"
)

func main() {
	shim.RunShim(context.Background(), manager.NewShimManager("io.containerd.runc.v2"))
}
