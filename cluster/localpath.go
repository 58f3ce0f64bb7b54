package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/septet-io/septet/controllers/persistentvolume"
)

// localPath is the provisioner of the default StorageClass. Nodes of this machine share its disk; on others the kubelet
// makes the directory, and nobody here can remove it.
func (s *server) localPath() *persistentvolume.LocalPath {
	return &persistentvolume.LocalPath{
		Provisioner: LocalPath, Root: s.paths.volumes(),
		Make: func(_ context.Context, node, path string) error {
			if !s.onThisMachine(node) {
				return nil
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil {
				return err
			}
			if err := os.Mkdir(path, 0o777); err != nil && !os.IsExist(err) {
				return err
			}
			return os.Chmod(path, 0o777) // whatever user the Pod runs as
		},
		Remove: func(_ context.Context, node, path string) error {
			if !s.onThisMachine(node) {
				return fmt.Errorf("the volume is on node %s, another machine: remove %s there, then delete the PersistentVolume", node, path)
			}
			return os.RemoveAll(path)
		},
	}
}

func (s *server) onThisMachine(node string) bool {
	return node == s.NodeName || slices.ContainsFunc(s.neighbours(), func(n neighbour) bool { return n.name == node })
}
