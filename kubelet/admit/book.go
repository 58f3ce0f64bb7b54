package admit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/kubelet/spec"
)

// Given is what a pod has been given, by container, and as a whole where it asks
// for that.
type Given struct {
	Containers map[string]v1.ResourceRequirements `json:"containers"`
	Pod        *v1.ResourceRequirements           `json:"pod,omitempty"`
}

// Book knows which resources each pod has been given. It lies in a file, because a
// pod that asks for more than it has must not get it by a restart of the kubelet.
type Book struct {
	path string

	mu   sync.Mutex
	pods map[types.UID]*Given
}

// OpenBook reads the book in dir; a missing one is empty.
func OpenBook(dir string) (*Book, error) {
	b := &Book{path: filepath.Join(dir, "allocated_pods_state"), pods: map[types.UID]*Given{}}
	raw, err := os.ReadFile(b.path)
	if os.IsNotExist(err) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("allocated resources: %w", err)
	}
	if err := json.Unmarshal(raw, &b.pods); err != nil {
		// Written by another kubelet, or damaged: begin anew with what pods ask for.
		b.pods = map[types.UID]*Given{}
	}
	return b, nil
}

// Enter gives a pod what it asks for, unless it has been given something before.
func (b *Book) Enter(pod *v1.Pod) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pods[pod.UID] != nil {
		return nil
	}
	b.pods[pod.UID] = asked(pod)
	return b.save()
}

// Get returns what the pod has been given, nil if nothing.
func (b *Book) Get(uid types.UID) *Given {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pods[uid]
}

// Keep forgets all pods but those for which keep says true.
func (b *Book) Keep(keep func(types.UID) bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := false
	for uid := range b.pods {
		if !keep(uid) {
			delete(b.pods, uid)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return b.save()
}

// Forget drops a pod that is gone.
func (b *Book) Forget(uid types.UID) error {
	return b.Keep(func(other types.UID) bool { return other != uid })
}

// Resize gives a running pod what it now asks for, if that is other than it has
// and there is enough. Otherwise it says why not, as the pod's condition
// PodResizePending. others are the other pods with what they have been given.
func (b *Book) Resize(pod *v1.Pod, others []*v1.Pod, allocatable v1.ResourceList) (pending *v1.PodCondition, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	have, wanted := b.pods[pod.UID], asked(pod)
	if have == nil || apiequality.Semantic.DeepEqual(have, wanted) {
		return nil, nil
	}
	if spec.Static(pod) {
		return refused(v1.PodReasonInfeasible, "In-place resize of static-pods is not supported"), nil
	}
	if alone := Short(pod, nil, allocatable); alone != nil {
		return refused(v1.PodReasonInfeasible, fmt.Sprintf("Node didn't have enough capacity: %s, requested: %d, capacity: %d", alone.Resource, alone.Requested, alone.Capacity)), nil
	}
	if short := Short(pod, others, allocatable); short != nil {
		return refused(v1.PodReasonDeferred, short.Error()), nil
	}
	b.pods[pod.UID] = wanted
	return nil, b.save()
}

func refused(reason, message string) *v1.PodCondition {
	return &v1.PodCondition{Type: v1.PodResizePending, Status: v1.ConditionTrue, Reason: reason, Message: message}
}

func asked(pod *v1.Pod) *Given {
	g := &Given{Containers: map[string]v1.ResourceRequirements{}}
	spec.EachContainer(pod, func(c *v1.Container, kind spec.Kind) {
		if kind != spec.Ephemeral {
			g.Containers[c.Name] = *c.Resources.DeepCopy()
		}
	})
	if pod.Spec.Resources != nil {
		g.Pod = pod.Spec.Resources.DeepCopy()
	}
	return g
}

// save writes the book; a crash leaves the old or the new one. The lock is held.
func (b *Book) save() error {
	raw, err := json.Marshal(b.pods)
	if err != nil {
		return fmt.Errorf("allocated resources: %w", err)
	}
	next := b.path + ".new"
	if err := os.WriteFile(next, raw, 0o600); err != nil {
		return fmt.Errorf("allocated resources: %w", err)
	}
	if err := os.Rename(next, b.path); err != nil {
		return fmt.Errorf("allocated resources: %w", err)
	}
	return nil
}
