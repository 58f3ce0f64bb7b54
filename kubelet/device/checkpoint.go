package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// checkpointFile holds what was given away, below Config.Dir: containers outlive the agent.
const checkpointFile = "septet_devices.json"

// entry is one grant in the file.
type entry struct {
	Pod       types.UID `json:"pod"`
	Container string    `json:"container"`
	Resource  string    `json:"resource"`
	IDs       []string  `json:"ids"`
	Response  []byte    `json:"response"` // a ContainerAllocateResponse in protobuf
}

// save writes the file. d.mu is held. Without it devices could be given twice after a restart, so a failure is said loudly, but the containers come first.
func (d *Devices) save() {
	if err := d.write(); err != nil {
		klog.ErrorS(err, "Given devices could not be written down")
	}
}

func (d *Devices) write() error {
	var entries []entry
	for who, grants := range d.given {
		for resource, g := range grants {
			response, err := proto.Marshal(g.Response)
			if err != nil {
				return err
			}
			entries = append(entries, entry{Pod: who.pod, Container: who.container, Resource: resource, IDs: g.IDs, Response: response})
		}
	}
	data, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	return replace(filepath.Join(d.config.Dir, checkpointFile), data)
}

// load reads the file, if there is one.
func (d *Devices) load() error {
	path := filepath.Join(d.config.Dir, checkpointFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var entries []entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, e := range entries {
		response := &deviceplugin.ContainerAllocateResponse{}
		if err := proto.Unmarshal(e.Response, response); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		who := owner{e.Pod, e.Container}
		if d.given[who] == nil {
			d.given[who] = map[string]*grant{}
		}
		d.given[who][e.Resource] = &grant{IDs: e.IDs, Response: response}
	}
	return nil
}
