package plugin

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Resource is the kind of object that an event is about.
type Resource uint8

// The resources that plugins can wait for.
const (
	AssignedPod    Resource = iota // a pod that has a node
	UnscheduledPod                 // the waiting pod itself
	Node
	PersistentVolume
	PersistentVolumeClaim
	StorageClass
	CSINode
	CSIDriver
	CSIStorageCapacity
	ResourceClaim
	ResourceSlice
	DeviceClass
	Namespace
	Service
	WildCard // anything
	resources
)

// Resources is the number of kinds.
const Resources = int(resources)

var resourceNames = [...]string{"AssignedPod", "UnscheduledPod", "Node", "PersistentVolume", "PersistentVolumeClaim", "StorageClass",
	"CSINode", "CSIDriver", "CSIStorageCapacity", "ResourceClaim", "ResourceSlice", "DeviceClass", "Namespace", "Service", "*"}

// String is upstream's name of the resource.
func (r Resource) String() string { return resourceNames[r] }

// Action is what happened to it; a set of bits.
type Action uint32

// The actions.
const (
	Add Action = 1 << iota
	Delete
	UpdateNodeAllocatable
	UpdateNodeLabel
	UpdateNodeTaint
	UpdateNodeCondition
	UpdateNodeAnnotation
	UpdatePodLabel
	UpdatePodScaleDown
	UpdatePodTolerations
	UpdatePodGates
	UpdatePodClaims
	UpdateOther
	UpdateNodeFeatures

	All        Action = 1<<32 - 1
	Update            = All &^ (Add | Delete)
	UpdateNode        = UpdateNodeAllocatable | UpdateNodeLabel | UpdateNodeTaint | UpdateNodeCondition | UpdateNodeAnnotation | UpdateNodeFeatures
)

// actionNames are for people, in order of the bits.
var actionNames = []string{"add", "delete", "allocatable", "labels", "taints", "conditions", "annotations", "labels", "scale down", "tolerations",
	"gates", "claims", "update", "declared features"}

// String lists what the set holds.
func (a Action) String() string {
	if a == All {
		return "any change"
	}
	var names []string
	for i, name := range actionNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Event is something that happened in the cluster. Old is nil for Add, New for Delete.
type Event struct {
	Resource Resource
	Action   Action
	// Label names the event in metrics, in upstream's words.
	Label    string
	Old, New any
}

// EventHint is an event that a plugin waits for.
type EventHint struct {
	Resource Resource
	Action   Action
	// Hint says whether this one event may make the pod schedulable; nil means always.
	Hint func(pod *corev1.Pod, e *Event) bool
}
