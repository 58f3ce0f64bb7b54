package snapshot

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// maxAmount bounds one amount, so that sums over a node and products with weights stay inside 64 bits whatever a Pod asks for.
const maxAmount = int64(1) << 52

// What a container that asks for nothing is taken to use when nodes are compared (upstream's defaults).
const (
	defaultMilliCPU = int64(100)
	defaultMemory   = int64(200) << 20
)

// Resource interns a resource name.
func (s *Snapshot) Resource(name string) int32 {
	if index, ok := s.resourceIndex[name]; ok {
		return index
	}
	index := int32(len(s.resources))
	name = strings.Clone(name)
	s.resources = append(s.resources, name)
	s.resourceIndex[name] = index
	s.Allocatable = append(s.Allocatable, make([]int64, len(s.Node), cap(s.Node)))
	s.Requested = append(s.Requested, make([]int64, len(s.Node), cap(s.Node)))
	return index
}

// ResourceName is the opposite of Resource.
func (s *Snapshot) ResourceName(index int32) string { return s.resources[index] }

// Amount is how much of one resource.
type Amount struct {
	Resource int32
	Value    int64 // millicores for CPU, else units
}

// Requests is what a Pod asks of a node.
type Requests struct {
	CPU, Memory, Ephemeral    int64
	Scalars                   []Amount // extended resources and huge pages, by index
	NonZeroCPU, NonZeroMemory int64
}

// Of returns the amount of one resource.
func (r *Requests) Of(index int32) int64 {
	switch index {
	case CPU:
		return r.CPU
	case Memory:
		return r.Memory
	case Ephemeral:
		return r.Ephemeral
	case PodSlots:
		return 1
	}
	for _, a := range r.Scalars {
		if a.Resource == index {
			return a.Value
		}
	}
	return 0
}

// Empty says that the Pod asks for nothing at all (best effort, no extended resources).
func (r *Requests) Empty() bool {
	return r.CPU == 0 && r.Memory == 0 && r.Ephemeral == 0 && len(r.Scalars) == 0
}

// IsScalar says whether a resource is one that upstream counts as scalar: extended, huge pages, attachable volumes, or native
// with a prefix. Others (such as "storage") are not scheduled by.
func IsScalar(name string) bool {
	return strings.Contains(name, "/") || strings.HasPrefix(name, corev1.ResourceHugePagesPrefix) ||
		strings.HasPrefix(name, corev1.ResourceAttachableVolumesPrefix)
}

// amountOf is a quantity in the resource's unit. Quantities can say more than an int64 holds, in which case their own conversions give nonsense.
func amountOf(name corev1.ResourceName, q resource.Quantity) int64 {
	about := q.AsApproximateFloat64()
	if name == corev1.ResourceCPU {
		about *= 1000
	}
	switch {
	case about <= 0:
		return 0
	case about >= float64(maxAmount):
		return maxAmount
	case name == corev1.ResourceCPU:
		return q.MilliValue()
	}
	return q.Value()
}

// set takes the larger (or, with add, the sum) of one resource; scalars stay sorted by index.
func (r *Requests) merge(index int32, v int64, add bool) {
	var at *int64
	switch index {
	case CPU:
		at = &r.CPU
	case Memory:
		at = &r.Memory
	case Ephemeral:
		at = &r.Ephemeral
	default:
		i := 0
		for i < len(r.Scalars) && r.Scalars[i].Resource < index {
			i++
		}
		if i == len(r.Scalars) || r.Scalars[i].Resource != index {
			if v == 0 {
				return
			}
			r.Scalars = append(r.Scalars, Amount{})
			copy(r.Scalars[i+1:], r.Scalars[i:])
			r.Scalars[i] = Amount{Resource: index}
		}
		at = &r.Scalars[i].Value
	}
	if add {
		*at = min(*at+v, maxAmount)
	} else {
		*at = max(*at, v)
	}
}

func (r *Requests) mergeAll(o *Requests, add bool) {
	r.merge(CPU, o.CPU, add)
	r.merge(Memory, o.Memory, add)
	r.merge(Ephemeral, o.Ephemeral, add)
	for _, a := range o.Scalars {
		r.merge(a.Resource, a.Value, add)
	}
	if add {
		r.NonZeroCPU = min(r.NonZeroCPU+o.NonZeroCPU, maxAmount)
		r.NonZeroMemory = min(r.NonZeroMemory+o.NonZeroMemory, maxAmount)
	} else {
		r.NonZeroCPU, r.NonZeroMemory = max(r.NonZeroCPU, o.NonZeroCPU), max(r.NonZeroMemory, o.NonZeroMemory)
	}
}

func (r *Requests) reset() { *r = Requests{Scalars: r.Scalars[:0]} }

// scratch is reused between pods so that reading one costs no allocation.
type scratch struct{ total, inits, one, sidecars, item Requests }

// podRequests computes what a pod asks for: containers and sidecars run together, init containers one by one beside the
// sidecars started before them; requests of the pod as a whole go first, overhead comes on top (KEP-753, KEP-2837, KEP-688). A container
// that is being resized counts with the largest of what it wants, has and was granted (KEP-1287).
func (s *Snapshot) podRequests(pod *corev1.Pod, w *scratch) *Requests {
	w.total.reset()
	w.inits.reset()
	w.sidecars.reset()
	spec := &pod.Spec
	for i := range spec.Containers {
		s.containerRequests(pod, &spec.Containers[i], pod.Status.ContainerStatuses, &w.one)
		w.total.mergeAll(&w.one, true)
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		s.containerRequests(pod, c, pod.Status.InitContainerStatuses, &w.one)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			w.total.mergeAll(&w.one, true)
			w.sidecars.mergeAll(&w.one, true)
			w.inits.mergeAll(&w.sidecars, false)
			continue
		}
		w.item.reset()
		w.item.mergeAll(&w.one, true)
		w.item.mergeAll(&w.sidecars, true)
		w.inits.mergeAll(&w.item, false)
	}
	w.total.mergeAll(&w.inits, false)
	if spec.Resources != nil {
		s.podLevel(spec.Resources.Requests, &w.total)
	}
	for name, q := range spec.Overhead {
		if index, ok := s.schedulable(string(name)); ok {
			v := amountOf(name, q)
			w.total.merge(index, v, true)
			switch index {
			case CPU:
				w.total.NonZeroCPU = min(w.total.NonZeroCPU+v, maxAmount)
			case Memory:
				w.total.NonZeroMemory = min(w.total.NonZeroMemory+v, maxAmount)
			}
		}
	}
	return &w.total
}

// podLevel lets the requests of the pod as a whole replace the sums of its containers (KEP-2837: cpu, memory and huge pages).
func (s *Snapshot) podLevel(requests corev1.ResourceList, total *Requests) {
	for name, q := range requests {
		v := amountOf(name, q)
		switch {
		case name == corev1.ResourceCPU:
			total.CPU, total.NonZeroCPU = v, v
		case name == corev1.ResourceMemory:
			total.Memory, total.NonZeroMemory = v, v
		case strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			index := s.Resource(string(name))
			total.merge(index, v, false)
			for i := range total.Scalars {
				if total.Scalars[i].Resource == index {
					total.Scalars[i].Value = v
				}
			}
		}
	}
}

func (s *Snapshot) schedulable(name string) (int32, bool) {
	switch name {
	case "cpu":
		return CPU, true
	case "memory":
		return Memory, true
	case "ephemeral-storage":
		return Ephemeral, true
	}
	if !IsScalar(name) {
		return 0, false
	}
	return s.Resource(name), true
}

func (s *Snapshot) containerRequests(pod *corev1.Pod, c *corev1.Container, statuses []corev1.ContainerStatus, into *Requests) {
	into.reset()
	into.NonZeroCPU, into.NonZeroMemory = defaultMilliCPU, defaultMemory
	s.addList(c.Resources.Requests, into)
	if pod.Spec.NodeName == "" {
		return
	}
	for i := range statuses {
		status := &statuses[i]
		if status.Name != c.Name || (status.Resources == nil && status.AllocatedResources == nil) {
			continue
		}
		if resizeInfeasible(pod) {
			*into = Requests{Scalars: into.Scalars[:0], NonZeroCPU: defaultMilliCPU, NonZeroMemory: defaultMemory}
		}
		s.addList(status.AllocatedResources, into)
		if status.Resources != nil {
			s.addList(status.Resources.Requests, into)
		}
	}
}

// addList raises into to a list of requests; the first mention of cpu or memory replaces the default for none.
func (s *Snapshot) addList(list corev1.ResourceList, into *Requests) {
	for name, q := range list {
		index, ok := s.schedulable(string(name))
		if !ok {
			continue
		}
		v := amountOf(name, q)
		switch index {
		case CPU:
			into.NonZeroCPU = max(into.CPU, v)
		case Memory:
			into.NonZeroMemory = max(into.Memory, v)
		}
		into.merge(index, v, false)
	}
}

func resizeInfeasible(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.PodResizePending && c.Reason == corev1.PodReasonInfeasible {
			return true
		}
	}
	return false
}
