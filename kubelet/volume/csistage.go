package volume

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/kubelet/volume/csi"
	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

// stagingDir is where a volume is made ready for the node, once for all Pods.
func (v *Volumes) stagingDir(driver, handle string) string {
	return filepath.Join(v.config.RootDir, "plugins", pluginCSI, driver, fmt.Sprintf("%x", sha256.Sum256([]byte(handle))))
}

// stageCSI makes a volume ready. A driver takes it well to be asked again.
func (v *Volumes) stageCSI(ctx context.Context, driver *csi.Node, r *request, stages bool) error {
	if r.inline || !stages {
		return nil
	}
	v.staging.Lock()
	defer v.staging.Unlock()
	dir := v.stagingDir(r.data.Driver, r.data.Handle)
	r.volume.Staging = filepath.Join(dir, "globalmount")
	if err := os.MkdirAll(r.volume.Staging, 0o750); err != nil {
		return err
	}
	if err := writeData(dir, r.data); err != nil {
		return err
	}
	var err error
	if r.volume.Secrets, err = v.secretData(ctx, r.stage); err != nil {
		return err
	}
	if err := driver.Stage(ctx, &r.volume); err != nil {
		return fmt.Errorf("rpc NodeStageVolume of %s: %w", r.data.Driver, err)
	}
	return nil
}

func writeData(dir string, data volumeData) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	encoded, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "vol_data.json"), encoded, 0o600)
}

func readData(dir string) (data volumeData, err error) {
	encoded, err := os.ReadFile(filepath.Join(dir, "vol_data.json"))
	if err != nil {
		return data, err
	}
	return data, json.Unmarshal(encoded, &data)
}

// unmountCSI unpublishes all of a Pod's CSI volumes and unstages those that no other Pod has.
func (v *Volumes) unmountCSI(ctx context.Context, pod types.UID) error {
	dirs, err := filepath.Glob(filepath.Join(v.volumeDir(pod, pluginCSI, "*"), "vol_data.json"))
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range dirs {
		errs = append(errs, v.unpublishCSI(ctx, filepath.Dir(file)))
	}
	return errors.Join(errs...)
}

func (v *Volumes) unpublishCSI(ctx context.Context, dir string) error {
	data, err := readData(dir)
	if err != nil {
		return err
	}
	driver, err := v.csiDriver(data.Driver)
	if err != nil {
		return err
	}
	if err := driver.Unpublish(ctx, data.Handle, filepath.Join(dir, "mount")); err != nil {
		return fmt.Errorf("rpc NodeUnpublishVolume of %s: %w", data.Driver, err)
	}
	if err := mountpoint.RemoveAll(dir); err != nil {
		return err
	}
	v.staging.Lock()
	defer v.staging.Unlock()
	staged := v.stagingDir(data.Driver, data.Handle)
	if _, err := os.Stat(staged); errors.Is(err, fs.ErrNotExist) || v.inUse(data) {
		return nil
	}
	if err := driver.Unstage(ctx, data.Handle, filepath.Join(staged, "globalmount")); err != nil {
		return fmt.Errorf("rpc NodeUnstageVolume of %s: %w", data.Driver, err)
	}
	return mountpoint.RemoveAll(staged)
}

// inUse says whether any Pod of this node still has a volume. What cannot be read counts as in use.
func (v *Volumes) inUse(data volumeData) bool {
	files, err := filepath.Glob(filepath.Join(v.volumeDir("*", pluginCSI, "*"), "vol_data.json"))
	if err != nil {
		return true
	}
	for _, file := range files {
		other, err := readData(filepath.Dir(file))
		if err != nil || other.Driver == data.Driver && other.Handle == data.Handle {
			return true
		}
	}
	return false
}
