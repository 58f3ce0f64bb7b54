package pod

import (
	"time"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/spec"
)

// resizing is what is known of changes to the resources of a pod's running
// containers (KEP-1287). The pod that a worker has carries the resources that the
// node allocated; what is in force the runtime tells.
type resizing struct {
	// pending is the condition of a resize that is not allocated.
	pending *v1.PodCondition
	// restart names the containers that must restart for their new resources.
	restart map[string]bool
	// progress is set while allocated resources are not in force.
	progress *v1.PodCondition
	busy     bool
	// applied is what each container id was last given: a runtime that reports
	// something else is not asked again.
	applied map[string]*runtimeapi.LinuxContainerResources
	// whole are the resources of the pod as a whole that its control group was last given; nil if it has none (KEP-5419).
	whole *v1.ResourceRequirements
}

func (r *resizing) conditions() []v1.PodCondition {
	var out []v1.PodCondition
	if r.pending != nil {
		out = append(out, *r.pending)
	}
	if r.progress != nil {
		out = append(out, *r.progress)
	}
	return out
}

// change is a running container that is to get other resources.
type change struct {
	name, id string
	wanted   *runtimeapi.LinuxContainerResources
}

// applyResize brings the allocated resources into force.
func (w *Worker) applyResize() {
	if w.resize.busy || !w.may("resize") {
		return
	}
	changes := w.resizes()
	if len(changes) == 0 && apiequality.Semantic.DeepEqual(w.resize.whole, w.pod.Spec.Resources) {
		if w.resize.progress != nil && len(w.resize.restart) == 0 {
			w.resize.progress = nil
			w.host.event(w.pod, "", v1.EventTypeNormal, "ResizeCompleted", resizeTold("completed", w.pod))
		}
		return
	}
	if w.resize.progress == nil {
		w.resize.progress = &v1.PodCondition{Type: v1.PodResizeInProgress, Status: v1.ConditionTrue}
		w.host.event(w.pod, "", v1.EventTypeNormal, "ResizeStarted", resizeTold("started", w.pod))
	}
	w.resize.busy = true
	pod, sandbox := w.pod, w.runtime.Sandbox()
	w.ops.Add(1)
	go func() {
		defer w.ops.Done()
		began := time.Now()
		failed, err := w.putInForce(pod, sandbox, changes)
		w.host.note(pod, "resize", failed, began)
		w.post(func() {
			w.resize.busy = false
			for _, c := range changes {
				w.stale[c.id] = true
			}
			if err == nil {
				delete(w.retries, "resize")
				w.resize.whole = pod.Spec.Resources
				w.resize.applied = map[string]*runtimeapi.LinuxContainerResources{}
				for _, c := range changes {
					w.resize.applied[c.id] = c.wanted
				}
				w.refresh()
				return
			}
			w.resize.progress = &v1.PodCondition{
				Type: v1.PodResizeInProgress, Status: v1.ConditionTrue, Reason: v1.PodReasonError, Message: err.Error(),
			}
			w.host.event(pod, failed, v1.EventTypeWarning, "ResizeError", err.Error())
			w.failed("resize", retryFirst, retrySandbox)
		})
	}()
}

// resizes compares what is in force with what is allocated. Containers whose
// policy wants a restart are marked for one; not init containers that run to their
// end, which would begin again.
func (w *Worker) resizes() []change {
	var changes []change
	spec.EachContainer(w.pod, func(c *v1.Container, kind spec.Kind) {
		now := w.runtime.Latest(c.Name)
		if kind == spec.Ephemeral || now == nil || now.State != cri.Running || now.Resources == nil || w.busy[c.Name] {
			return
		}
		wanted := spec.Resources(w.pod, c, w.host.Node)
		have := now.Resources
		if given := w.resize.applied[now.ID]; given != nil {
			have = given
		}
		cpu, memory := differs(have, wanted)
		if !cpu && !memory {
			return
		}
		ends := kind == spec.Init && !spec.Sidecar(c)
		if !ends && (cpu && restarts(c, v1.ResourceCPU) || memory && restarts(c, v1.ResourceMemory)) {
			if w.resize.restart == nil {
				w.resize.restart = map[string]bool{}
			}
			if !w.resize.restart[c.Name] {
				w.resize.restart[c.Name] = true
				w.at(time.Now())
			}
			return
		}
		changes = append(changes, change{c.Name, now.ID, wanted})
	})
	return changes
}

// differs compares limits; a runtime that does not tell one agrees with any.
func differs(have, want *runtimeapi.LinuxContainerResources) (cpu, memory bool) {
	if have.GetCpuShares() > 0 {
		cpu = have.GetCpuShares() != want.GetCpuShares()
	}
	if have.GetCpuPeriod() > 0 {
		cpu = cpu || max(have.GetCpuQuota(), 0) != want.GetCpuQuota()
	}
	memory = max(have.GetMemoryLimitInBytes(), 0) != want.GetMemoryLimitInBytes()
	return cpu, memory
}

func restarts(c *v1.Container, name v1.ResourceName) bool {
	for _, p := range c.ResizePolicy {
		if p.ResourceName == name {
			return p.RestartPolicy == v1.RestartContainer
		}
	}
	return false
}

// putInForce changes the limits: the pod's before and after the containers', so
// that they fit in it whether they grow or shrink.
func (w *Worker) putInForce(pod *v1.Pod, sandbox *cri.Sandbox, changes []change) (container string, err error) {
	// The first may fail when limits shrink below use; the last one decides.
	_, _ = w.host.Cgroups.EnsurePod(pod)
	for _, c := range changes {
		if err := w.host.Runtime.UpdateContainerResources(w.ctx, c.id, c.wanted); err != nil {
			return c.name, err
		}
	}
	if _, err := w.host.Cgroups.EnsurePod(pod); err != nil {
		return "", err
	}
	if sandbox != nil {
		resources, overhead := spec.PodResources(pod, w.host.Node)
		// Runtimes without sandbox resources say so, and need not know.
		_ = w.host.Runtime.UpdatePodSandboxResources(w.ctx, sandbox.ID, overhead, resources)
	}
	return "", nil
}

// Allocated returns a copy of the pod with the resources that were set aside for
// it instead of those that it asks for; pod itself if there are none.
func Allocated(pod *v1.Pod, resources map[string]v1.ResourceRequirements, whole *v1.ResourceRequirements) *v1.Pod {
	if len(resources) == 0 && whole == nil {
		return pod
	}
	out := pod.DeepCopy()
	for _, list := range [][]v1.Container{out.Spec.Containers, out.Spec.InitContainers} {
		for i := range list {
			if r, ok := resources[list[i].Name]; ok {
				r.DeepCopyInto(&list[i].Resources)
			}
		}
	}
	if whole != nil {
		out.Spec.Resources = whole.DeepCopy()
	}
	return out
}
