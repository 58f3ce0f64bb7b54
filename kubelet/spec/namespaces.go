package spec

import (
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// IDMaps are the user and group ids of the host that stand for those of a pod in
// a user namespace of its own.
type IDMaps struct {
	UIDs []IDMap `json:"uidMappings"`
	GIDs []IDMap `json:"gidMappings"`
}

// IDMap maps Length ids from ContainerID on to those from HostID on.
type IDMap struct {
	HostID      uint32 `json:"hostId"`
	ContainerID uint32 `json:"containerId"`
	Length      uint32 `json:"length"`
}

// UserNamespace says whether the pod wants a user namespace of its own.
func UserNamespace(pod *v1.Pod) bool { return pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers }

// Namespaces says which namespaces the pod's containers share with the node and
// with each other.
func Namespaces(pod *v1.Pod, idMaps *IDMaps) *runtimeapi.NamespaceOption {
	o := &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER}
	if pod.Spec.HostNetwork {
		o.Network = runtimeapi.NamespaceMode_NODE
	}
	if pod.Spec.HostIPC {
		o.Ipc = runtimeapi.NamespaceMode_NODE
	}
	switch {
	case pod.Spec.HostPID:
		o.Pid = runtimeapi.NamespaceMode_NODE
	case pod.Spec.ShareProcessNamespace != nil && *pod.Spec.ShareProcessNamespace:
		o.Pid = runtimeapi.NamespaceMode_POD
	}
	if idMaps != nil {
		o.UsernsOptions = &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_POD, Uids: idMaps.uids(), Gids: idMaps.gids()}
	} else if pod.Spec.HostUsers != nil {
		o.UsernsOptions = &runtimeapi.UserNamespace{Mode: runtimeapi.NamespaceMode_NODE}
	}
	return o
}

func (m *IDMaps) uids() []*runtimeapi.IDMapping { return mappings(m.UIDs) }
func (m *IDMaps) gids() []*runtimeapi.IDMapping { return mappings(m.GIDs) }

func mappings(maps []IDMap) []*runtimeapi.IDMapping {
	out := make([]*runtimeapi.IDMapping, len(maps))
	for i, m := range maps {
		out[i] = &runtimeapi.IDMapping{HostId: m.HostID, ContainerId: m.ContainerID, Length: m.Length}
	}
	return out
}
