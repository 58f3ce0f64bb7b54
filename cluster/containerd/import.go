package containerd

import (
	"context"
	"fmt"

	"github.com/septet-io/septet/cluster/carried"
)

// Import imports the images of an OCI or Docker archive into the running runtime of a node that another process watches
// over, and returns their names.
func Import(ctx context.Context, config Config, archive string) ([]string, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	bin, err := carried.Unpack(c.DataDir, programs...)
	if err != nil {
		return nil, err
	}
	r := &Runtime{config: c, bin: bin}
	if err := r.answers(ctx); err != nil {
		return nil, fmt.Errorf("containerd of node %s: %w (is septet running?)", c.NodeName, err)
	}
	return r.importImage(ctx, archive)
}
