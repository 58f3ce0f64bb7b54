// Package evict keeps the node from running out of memory, disk, inodes or process
// ids: it watches what is left of each, says so in the node's conditions, and ends
// pods, those first that use more than they asked for. What to do is decided by
// pure functions over Observations.
package evict

import (
	"fmt"
	"sort"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/septet-io/septet/kubelet/spec"
)

// Signal names what is watched, as in the kubelet's configuration.
type Signal string

// The signals of Linux nodes.
const (
	MemoryAvailable   Signal = "memory.available"
	NodeFsAvailable   Signal = "nodefs.available"
	NodeFsInodesFree  Signal = "nodefs.inodesFree"
	ImageFsAvailable  Signal = "imagefs.available"
	ImageFsInodesFree Signal = "imagefs.inodesFree"
	PIDAvailable      Signal = "pid.available"
)

// pressure is the condition that each signal is about, and the resource that is
// short, in the order in which they are dealt with.
var pressure = []struct {
	signal    Signal
	condition v1.NodeConditionType
	resource  v1.ResourceName
}{
	{MemoryAvailable, v1.NodeMemoryPressure, v1.ResourceMemory},
	{NodeFsAvailable, v1.NodeDiskPressure, v1.ResourceEphemeralStorage},
	{NodeFsInodesFree, v1.NodeDiskPressure, "inodes"},
	{ImageFsAvailable, v1.NodeDiskPressure, v1.ResourceEphemeralStorage},
	{ImageFsInodesFree, v1.NodeDiskPressure, "inodes"},
	{PIDAvailable, v1.NodePIDPressure, "pids"},
}

// Observation is how much of something there is.
type Observation struct{ Available, Capacity int64 }

// Threshold says when too little is left of something.
type Threshold struct {
	Signal Signal
	// Quantity, or Percent of the capacity if it is not zero, must be left.
	Quantity resource.Quantity
	Percent  float64
	// Grace is for how long a soft threshold may be crossed; a hard one has none.
	Grace time.Duration
	Hard  bool
	// Reclaim is how much more than the threshold is to be freed.
	Reclaim int64
}

// limit is the threshold in units of the observation.
func (t *Threshold) limit(capacity int64) int64 {
	if t.Percent > 0 {
		return int64(t.Percent / 100 * float64(capacity))
	}
	return t.Quantity.Value()
}

// Defaults are the hard thresholds of a kubelet that is not told otherwise.
func Defaults() map[string]string {
	return map[string]string{
		string(MemoryAvailable): "100Mi", string(NodeFsAvailable): "10%", string(NodeFsInodesFree): "5%",
		string(ImageFsAvailable): "15%", string(ImageFsInodesFree): "5%",
	}
}

// Parse reads the thresholds of a KubeletConfiguration.
func Parse(hard, soft, softGrace, reclaim map[string]string) ([]Threshold, error) {
	var out []Threshold
	for signal, value := range hard {
		t, err := parse(signal, value, reclaim[signal])
		if err != nil {
			return nil, fmt.Errorf("evictionHard: %w", err)
		}
		if t.Hard = true; t.Percent > 0 || !t.Quantity.IsZero() {
			out = append(out, t)
		}
	}
	for signal, value := range soft {
		t, err := parse(signal, value, reclaim[signal])
		if err != nil {
			return nil, fmt.Errorf("evictionSoft: %w", err)
		}
		grace, ok := softGrace[signal]
		if !ok {
			return nil, fmt.Errorf("evictionSoft: grace period must be specified for the soft eviction threshold %v", signal)
		}
		if t.Grace, err = time.ParseDuration(grace); err != nil {
			return nil, fmt.Errorf("evictionSoftGracePeriod: %s: %w", signal, err)
		}
		out = append(out, t)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Signal < out[j].Signal })
	return out, nil
}

func parse(signal, value, reclaim string) (Threshold, error) {
	t := Threshold{Signal: Signal(signal)}
	known := false
	for _, p := range pressure {
		known = known || p.signal == t.Signal
	}
	if !known {
		return t, fmt.Errorf("unsupported eviction signal %v", signal)
	}
	if number, ok := strings.CutSuffix(value, "%"); ok {
		if _, err := fmt.Sscanf(number, "%g", &t.Percent); err != nil || t.Percent < 0 || t.Percent > 100 {
			return t, fmt.Errorf("%s: %q is not a percentage", signal, value)
		}
	} else {
		q, err := resource.ParseQuantity(value)
		if err != nil {
			return t, fmt.Errorf("%s: %w", signal, err)
		}
		if q.Sign() < 0 {
			return t, fmt.Errorf("eviction threshold %v cannot be negative", signal)
		}
		t.Quantity = q
	}
	if reclaim != "" && !strings.HasSuffix(reclaim, "%") {
		q, err := resource.ParseQuantity(reclaim)
		if err != nil {
			return t, fmt.Errorf("evictionMinimumReclaim: %s: %w", signal, err)
		}
		t.Reclaim = q.Value()
	}
	return t, nil
}

// Crossed is a threshold below which something has fallen.
type Crossed struct {
	Threshold Threshold
	Condition v1.NodeConditionType
	Resource  v1.ResourceName
	Observed  Observation
}

// Judge returns which thresholds are crossed, in the order in which they are to be
// dealt with. resolving names the signals that were crossed before: they stay so
// until the reclaim is reached.
func Judge(thresholds []Threshold, seen map[Signal]Observation, resolving map[Signal]bool) []Crossed {
	var out []Crossed
	for _, p := range pressure {
		for _, t := range thresholds {
			o, ok := seen[t.Signal]
			if !ok || t.Signal != p.signal {
				continue
			}
			limit := t.limit(o.Capacity)
			if resolving[t.Signal] {
				limit += t.Reclaim
			}
			if o.Available < limit {
				out = append(out, Crossed{t, p.condition, p.resource, o})
			}
		}
	}
	return out
}

// Usage is what a pod uses.
type Usage struct {
	Memory, Disk, Inodes, Processes int64
}

// Candidate is a pod that could be evicted.
type Candidate struct {
	Pod   *v1.Pod
	Usage Usage
}

func (c *Candidate) used(name v1.ResourceName) int64 {
	switch name {
	case v1.ResourceMemory:
		return c.Usage.Memory
	case v1.ResourceEphemeralStorage:
		return c.Usage.Disk
	case "inodes":
		return c.Usage.Inodes
	}
	return c.Usage.Processes
}

// exceeds says by how much the pod uses more than it requested.
func (c *Candidate) exceeds(name v1.ResourceName) int64 {
	q := spec.Requests(c.Pod)[name]
	return c.used(name) - q.Value()
}

// Rank orders pods by who is to go first when a resource is short: those that use
// more of it than they requested, then those of lower priority, then those that
// exceed their request by more. Critical pods are not among them.
func Rank(candidates []Candidate, name v1.ResourceName) []Candidate {
	out := make([]Candidate, 0, len(candidates))
	for _, c := range candidates {
		if !spec.Critical(c.Pod) {
			out = append(out, c)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		if x, y := a.exceeds(name) > 0, b.exceeds(name) > 0; x != y {
			return x
		}
		if x, y := priority(a.Pod), priority(b.Pod); x != y {
			return x < y
		}
		return a.exceeds(name) > b.exceeds(name)
	})
	return out
}

func priority(pod *v1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

// Message tells why a pod is evicted.
func Message(c Crossed, victim *Candidate) string {
	format := func(n int64) string { return resource.NewQuantity(n, resource.BinarySI).String() }
	message := fmt.Sprintf("The node was low on resource: %s. Threshold quantity: %s, available: %s. ",
		c.Resource, format(c.Threshold.limit(c.Observed.Capacity)), format(c.Observed.Available))
	for i := range victim.Pod.Spec.Containers {
		container := &victim.Pod.Spec.Containers[i]
		request, ok := container.Resources.Requests[c.Resource]
		if len(victim.Pod.Spec.Containers) == 1 && victim.used(c.Resource) > request.Value() {
			if !ok {
				request = *resource.NewQuantity(0, resource.BinarySI)
			}
			message += fmt.Sprintf("Container %s was using %s, request is %s, has larger consumption of %s. ",
				container.Name, format(victim.used(c.Resource)), request.String(), c.Resource)
		}
	}
	return message
}
