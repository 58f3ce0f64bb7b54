package status

import (
	"path/filepath"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/spec"
)

// resourcesOf returns what the container has and what was set aside for it: c
// has the allocated resources, the runtime says which limits are in force.
func resourcesOf(c *v1.Container, latest *cri.Container, kind spec.Kind) (*v1.ResourceRequirements, v1.ResourceList) {
	if kind == spec.Ephemeral {
		return nil, nil
	}
	actual := c.Resources.DeepCopy()
	actual.Claims = nil
	if latest.State == cri.Running && latest.Resources != nil {
		inForce(actual, latest.Resources)
	}
	if len(c.Resources.Requests) == 0 {
		return actual, nil
	}
	return actual, c.Resources.Requests.DeepCopy()
}

// inForce replaces CPU and memory in r where the runtime's values differ from
// what they would be turned into: a value that agrees keeps its spelling.
func inForce(r *v1.ResourceRequirements, actual *runtimeapi.LinuxContainerResources) {
	if period := actual.GetCpuPeriod(); period > 0 && actual.GetCpuQuota() > 0 {
		if spec.Quota(r.Limits.Cpu().MilliValue(), period) != actual.GetCpuQuota() {
			put(&r.Limits, v1.ResourceCPU, resource.NewMilliQuantity(actual.GetCpuQuota()*1000/period, resource.DecimalSI))
		}
	}
	if bytes := actual.GetMemoryLimitInBytes(); bytes > 0 && r.Limits.Memory().Value() != bytes {
		put(&r.Limits, v1.ResourceMemory, resource.NewQuantity(bytes, resource.BinarySI))
	}
	if shares := actual.GetCpuShares(); shares > 2 {
		if _, set := r.Requests[v1.ResourceCPU]; set && spec.Shares(r.Requests.Cpu().MilliValue()) != shares {
			put(&r.Requests, v1.ResourceCPU, resource.NewMilliQuantity((shares*1000+1023)/1024, resource.DecimalSI))
		}
	}
}

func put(list *v1.ResourceList, name v1.ResourceName, q *resource.Quantity) {
	if *list == nil {
		*list = v1.ResourceList{}
	}
	(*list)[name] = *q
}

// volumeMounts tells how the volumes are mounted.
func volumeMounts(c *v1.Container) []v1.VolumeMountStatus {
	var out []v1.VolumeMountStatus
	for _, m := range c.VolumeMounts {
		s := v1.VolumeMountStatus{Name: m.Name, MountPath: filepath.Clean(m.MountPath), ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := v1.RecursiveReadOnlyDisabled
			if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly == v1.RecursiveReadOnlyEnabled {
				mode = v1.RecursiveReadOnlyEnabled
			}
			s.RecursiveReadOnly = &mode
		}
		out = append(out, s)
	}
	return out
}

func userOf(c *cri.Container) *v1.ContainerUser {
	if c.User == nil {
		return nil
	}
	return &v1.ContainerUser{Linux: &v1.LinuxContainerUser{
		UID: c.User.GetUid(), GID: c.User.GetGid(), SupplementalGroups: c.User.GetSupplementalGroups(),
	}}
}

// signalOf turns the CRI's name of a signal into the API's: SIGRTMINPLUS1 is SIGRTMIN+1.
func signalOf(s runtimeapi.Signal) *v1.Signal {
	name := strings.NewReplacer("PLUS", "+", "MINUS", "-").Replace(s.String())
	signal := v1.Signal(name)
	return &signal
}
