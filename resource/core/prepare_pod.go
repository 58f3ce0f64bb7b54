package core

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// preparePod starts a pod's life: pending, of a class of service, and held back if it has gates.
func preparePod(r *resource.Request, pod *corev1.Pod) {
	pod.Generation = 1
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: QOSClass(pod)}
	for _, gate := range pod.Spec.SchedulingGates {
		if gate.Name != "" {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
				Reason: corev1.PodReasonSchedulingGated, Message: "Scheduling is blocked due to non-empty scheduling gates",
				LastTransitionTime: metav1.NewTime(r.Now),
			})
			break
		}
	}
	mergeMatchLabelKeys(pod)
}

// dropUnserved drops the fields of features that upstream does not turn on by itself, as upstream does.
func dropUnserved(spec *corev1.PodSpec) {
	spec.SchedulingGroup = nil
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			list[i].Lifecycle = withoutStopSignal(list[i].Lifecycle)
		}
	}
	for i := range spec.EphemeralContainers {
		spec.EphemeralContainers[i].Lifecycle = withoutStopSignal(spec.EphemeralContainers[i].Lifecycle)
	}
	for i := range spec.Volumes {
		if projected := spec.Volumes[i].Projected; projected != nil {
			for j := range projected.Sources {
				projected.Sources[j].ClusterTrustBundle, projected.Sources[j].PodCertificate = nil, nil
			}
		}
	}
}

// withoutStopSignal is a lifecycle without it, nil if there was nothing else.
func withoutStopSignal(l *corev1.Lifecycle) *corev1.Lifecycle {
	if l == nil || l.StopSignal == nil {
		return l
	}
	l.StopSignal = nil
	if *l == (corev1.Lifecycle{}) {
		return nil
	}
	return l
}

// dropUnservedStatus does the same with what is reported of such features.
func dropUnservedStatus(status *corev1.PodStatus) {
	status.NodeAllocatableResourceClaimStatuses = nil
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses, status.EphemeralContainerStatuses} {
		for i := range list {
			for j := range list[i].VolumeMounts {
				list[i].VolumeMounts[j].VolumeStatus = nil
			}
		}
	}
}

func preparePodUpdate(_ *resource.Request, pod, old *corev1.Pod) { pod.Status = old.Status }

// preparePodStatus keeps all but the status and metadata; owners, deletion and what only the kubelet's resize
// may report are not for everybody with access to status either.
func preparePodStatus(_ *resource.Request, pod, old *corev1.Pod) {
	pod.Spec = old.Spec
	pod.DeletionTimestamp = old.DeletionTimestamp
	pod.DeletionGracePeriodSeconds = old.DeletionGracePeriodSeconds
	pod.OwnerReferences = old.OwnerReferences
	pod.Generation = old.Generation
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = old.Status.QOSClass // kubelets of old left it out
	}
	dropUnservedStatus(&pod.Status)
	// The older field is what older kubelets write; the newer ones follow it.
	defaultPodStatus(&pod.Status)
}

// prepareEphemeralContainers lets only containers be added to a running pod (KEP-277).
func prepareEphemeralContainers(_ *resource.Request, pod, old *corev1.Pod) {
	containers, version, fields := pod.Spec.EphemeralContainers, pod.ResourceVersion, pod.ManagedFields
	*pod = *old.DeepCopy()
	pod.Spec.EphemeralContainers, pod.ResourceVersion, pod.ManagedFields = containers, version, fields
}

// prepareResize lets only resources and resize policies change (KEP-1287, KEP-5419). Containers that are not the same ones are left for
// validation to refuse.
func prepareResize(_ *resource.Request, pod, old *corev1.Pod) {
	if len(pod.Spec.Containers) != len(old.Spec.Containers) || len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return
	}
	wanted, version, fields := pod.Spec, pod.ResourceVersion, pod.ManagedFields
	*pod = *old.DeepCopy()
	pod.ResourceVersion, pod.ManagedFields = version, fields
	pod.Spec.Resources = wanted.Resources
	pod.Spec.Containers = resizeContainers(pod.Spec.Containers, wanted.Containers)
	pod.Spec.InitContainers = resizeContainers(pod.Spec.InitContainers, wanted.InitContainers)
}

func resizeContainers(containers, wanted []corev1.Container) []corev1.Container {
	for i := range containers {
		if containers[i].Name != wanted[i].Name {
			return wanted
		}
		containers[i].Resources, containers[i].ResizePolicy = wanted[i].Resources, wanted[i].ResizePolicy
	}
	return containers
}
