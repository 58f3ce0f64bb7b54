package quota

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/septet-io/septet/resource/core"
)

const (
	limitsPrefix, requestsPrefix = "limits.", "requests."
	classSuffix                  = ".storageclass.storage.k8s.io/"
)

// Finished says whether a Pod uses nothing any more: it has ended, or should have long ago, its node being lost.
func Finished(pod *corev1.Pod, now time.Time) bool {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return true
	}
	if pod.DeletionTimestamp == nil || pod.DeletionGracePeriodSeconds == nil {
		return false
	}
	return now.After(pod.DeletionTimestamp.Add(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second))
}

// podUsage adds the Pod and its resources, unless it is finished: as an object it counts until it is gone.
func podUsage(usage corev1.ResourceList, pod *corev1.Pod, now time.Time) {
	if Finished(pod, now) {
		return
	}
	usage[corev1.ResourcePods] = *resource.NewQuantity(1, resource.DecimalSI)
	amounts(usage, Requests(pod), Limits(pod))
}

// amounts writes requests and limits under the names that quotas have for them. Requests of CPU, memory, ephemeral storage and
// huge pages have two names.
func amounts(usage, requests, limits corev1.ResourceList) {
	for name, amount := range requests {
		switch {
		case name == corev1.ResourceCPU, name == corev1.ResourceMemory, name == corev1.ResourceEphemeralStorage,
			strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			usage[name], usage[requestsPrefix+name] = amount, amount
		case core.ExtendedResource(name):
			usage[requestsPrefix+name] = amount
		}
	}
	for name, amount := range limits {
		switch name {
		case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
			usage[limitsPrefix+name] = amount
		}
	}
}

// serviceUsage adds the ports that a Service takes on every node, and the load balancer that it asks for.
func serviceUsage(usage corev1.ResourceList, service *corev1.Service) {
	ports, balancers := 0, 0
	switch service.Spec.Type {
	case corev1.ServiceTypeNodePort:
		ports = len(service.Spec.Ports)
	case corev1.ServiceTypeLoadBalancer:
		balancers = 1
		if allocate := service.Spec.AllocateLoadBalancerNodePorts; allocate == nil || *allocate {
			ports = len(service.Spec.Ports)
			break
		}
		for i := range service.Spec.Ports {
			if service.Spec.Ports[i].NodePort != 0 {
				ports++
			}
		}
	}
	usage[corev1.ResourceServicesNodePorts] = *resource.NewQuantity(int64(ports), resource.DecimalSI)
	usage[corev1.ResourceServicesLoadBalancers] = *resource.NewQuantity(int64(balancers), resource.DecimalSI)
}

// claimUsage adds the storage that a claim asks for, all in all and of its class. What an expansion has got already counts,
// though it be taken back in the spec.
func claimUsage(usage corev1.ResourceList, claim *corev1.PersistentVolumeClaim) {
	class := claimClass(claim)
	if class != "" {
		usage[corev1.ResourceName(class+classSuffix)+corev1.ResourcePersistentVolumeClaims] = *resource.NewQuantity(1, resource.DecimalSI)
	}
	storage, found := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if !found {
		return
	}
	if allocated, found := claim.Status.AllocatedResources[corev1.ResourceStorage]; found && allocated.Cmp(storage) > 0 {
		storage = allocated
	}
	usage[corev1.ResourceRequestsStorage] = storage
	if class != "" {
		usage[corev1.ResourceName(class+classSuffix)+corev1.ResourceRequestsStorage] = storage
	}
}

func claimClass(claim *corev1.PersistentVolumeClaim) string {
	if class, found := claim.Annotations[corev1.BetaStorageClassAnnotation]; found {
		return class
	}
	if claim.Spec.StorageClassName != nil {
		return *claim.Spec.StorageClassName
	}
	return ""
}
