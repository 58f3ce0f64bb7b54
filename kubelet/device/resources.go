package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/klog/v2"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// resourcesFile names the resources that have had a plugin, below Config.Dir. After a restart the node has none of them
// until their plugins are back. Without the names, what the node's status still says of them would look like resources
// that somebody advertises without a plugin.
const resourcesFile = "septet_resources.json"

// remember writes the names down. d.mu is held.
func (d *Devices) remember() {
	data, err := json.Marshal(slices.Sorted(maps.Keys(d.plugins)))
	if err == nil {
		err = replace(filepath.Join(d.config.Dir, resourcesFile), data)
	}
	if err != nil {
		klog.ErrorS(err, "The names of device resources could not be written down")
	}
}

// recall puts a plugin that has ended, without devices, in the place of each that an earlier run knew.
func (d *Devices) recall() error {
	path := filepath.Join(d.config.Dir, resourcesFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range names {
		d.plugins[name] = &plugin{resource: name, options: &deviceplugin.DevicePluginOptions{}, devices: map[string]*deviceplugin.Device{}, ended: true}
	}
	return nil
}

// replace writes a file so that nobody sees half of it.
func replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
