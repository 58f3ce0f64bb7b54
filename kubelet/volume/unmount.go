package volume

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

// Unmount takes a Pod's volumes away: mounts, files, and the contents of its emptyDirs. It needs to know nothing of the Pod, so it serves
// for Pods that an earlier run of the agent left, too. It may be called again after an error.
func (v *Volumes) Unmount(ctx context.Context, pod types.UID) error {
	p := v.podOf(pod)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.refresh.stop()
	v.use(pod, p, nil)
	var errs []error
	// subPaths are mounts of the volumes: they go first.
	for _, sub := range []string{"volume-subpaths", "plugins"} {
		errs = append(errs, mountpoint.RemoveAll(filepath.Join(v.PodDir(pod), sub)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := v.unmountCSI(ctx, pod); err != nil {
		return err
	}
	if err := mountpoint.RemoveAll(filepath.Join(v.PodDir(pod), "volumes")); err != nil {
		return err
	}
	v.mu.Lock()
	delete(v.pods, pod)
	v.mu.Unlock()
	return nil
}

// RemovePod removes all that lies under the Pod's directory, volumes included.
func (v *Volumes) RemovePod(ctx context.Context, pod types.UID) error {
	if err := v.Unmount(ctx, pod); err != nil {
		return err
	}
	return mountpoint.RemoveAll(v.PodDir(pod))
}

// Orphans returns the Pods that have a directory here though keep does not know them: what an agent that was killed left behind.
func (v *Volumes) Orphans(keep func(types.UID) bool) ([]types.UID, error) {
	entries, err := os.ReadDir(filepath.Join(v.config.RootDir, "pods"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var orphans []types.UID
	for _, entry := range entries {
		if uid := types.UID(entry.Name()); entry.IsDir() && !keep(uid) {
			orphans = append(orphans, uid)
		}
	}
	return orphans, err
}

// Mounts says whether anything of the Pod is still mounted or on the disk.
func (v *Volumes) Mounts(pod types.UID) bool {
	entries, err := os.ReadDir(filepath.Join(v.PodDir(pod), "volumes"))
	return err == nil && len(entries) > 0
}
