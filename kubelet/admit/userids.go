package admit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/kubelet/spec"
)

// idsPerPod is the length of a pod's range of user and group ids, and what each
// range is aligned to: the first one stays the host's own.
const idsPerPod = 1 << 16

// UserIDs hands out ranges of ids to pods in user namespaces of their own. Each
// range lies in a file of its pod's folder, so that it stays the pod's.
type UserIDs struct {
	podDir func(types.UID) string
	max    int

	mu    sync.Mutex
	taken map[uint32]types.UID // by number of the range
}

// NewUserIDs returns UserIDs for at most so many pods.
func NewUserIDs(podDir func(types.UID) string, pods int) *UserIDs {
	return &UserIDs{podDir: podDir, max: pods, taken: map[uint32]types.UID{}}
}

func (u *UserIDs) file(pod types.UID) string { return filepath.Join(u.podDir(pod), "userns") }

// Load takes up the ranges of the pods whose folders are there.
func (u *UserIDs) Load(pods []types.UID) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, pod := range pods {
		maps, err := u.read(pod)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		u.taken[maps.UIDs[0].HostID/idsPerPod] = pod
	}
	return nil
}

func (u *UserIDs) read(pod types.UID) (*spec.IDMaps, error) {
	raw, err := os.ReadFile(u.file(pod))
	if err != nil {
		return nil, err
	}
	maps := &spec.IDMaps{}
	if err := json.Unmarshal(raw, maps); err != nil {
		return nil, fmt.Errorf("user namespace of pod %s: %w", pod, err)
	}
	if len(maps.UIDs) == 0 || len(maps.GIDs) == 0 {
		return nil, fmt.Errorf("user namespace of pod %s: no mappings", pod)
	}
	return maps, nil
}

// Acquire returns the pod's range, the same one each time. The pod's folder exists.
func (u *UserIDs) Acquire(pod types.UID) (*spec.IDMaps, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps, err := u.read(pod)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return maps, err
	}
	for n := uint32(1); int(n) <= u.max && n < 1<<16; n++ {
		if _, used := u.taken[n]; used {
			continue
		}
		one := []spec.IDMap{{HostID: n * idsPerPod, Length: idsPerPod}}
		maps = &spec.IDMaps{UIDs: one, GIDs: one}
		raw, err := json.Marshal(maps)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(u.file(pod), raw, 0o644); err != nil {
			return nil, fmt.Errorf("user namespace of pod %s: %w", pod, err)
		}
		u.taken[n] = pod
		return maps, nil
	}
	return nil, fmt.Errorf("could not find an empty slot to allocate a user namespace")
}

// Release frees the pod's range.
func (u *UserIDs) Release(pod types.UID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for n, owner := range u.taken {
		if owner == pod {
			delete(u.taken, n)
		}
	}
}
