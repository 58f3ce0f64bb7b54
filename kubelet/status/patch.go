package status

import (
	"encoding/json"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// computedByNode are the conditions that some node agent may write.
var computedByNode = map[v1.PodConditionType]bool{
	v1.PodReadyToStartContainers: true, v1.PodInitialized: true, v1.PodReady: true, v1.ContainersReady: true,
	v1.PodScheduled: true, v1.DisruptionTarget: true, v1.PodResizePending: true, v1.PodResizeInProgress: true,
	v1.AllContainersRestarting: true,
}

// byNode says whether a condition may be this node's word. What the API has of a disruption that somebody else announced may be newer
// than what this status was made of: it is neither written nor taken away.
func byNode(c *v1.PodCondition) bool {
	return computedByNode[c.Type] && (c.Type != v1.DisruptionTarget || c.Reason == v1.PodReasonTerminationByKubelet)
}

// mineOnly returns the status without what others set. Times lose what JSON does
// not keep.
func mineOnly(s *v1.PodStatus) *v1.PodStatus {
	c := *s
	c.Conditions = nil
	for i := range s.Conditions {
		if byNode(&s.Conditions[i]) {
			c.Conditions = append(c.Conditions, s.Conditions[i])
		}
	}
	c.ResourceClaimStatuses, c.ExtendedResourceClaimStatus, c.NodeAllocatableResourceClaimStatuses = nil, nil, nil
	c.NominatedNodeName = ""
	c.Resize = ""
	return &c
}

// patchOf returns the strategic merge patch that turns the API's status into s,
// nil if nothing is to be changed. The uid in it makes sure that it is the same
// pod, not another of its name.
func patchOf(uid types.UID, base, s *v1.PodStatus) ([]byte, error) {
	before, err := json.Marshal(v1.Pod{Status: *mineOnly(base)})
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	after, err := json.Marshal(v1.Pod{Status: *mineOnly(s)})
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, v1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("patch of status: %w", err)
	}
	if string(patch) == "{}" {
		return nil, nil
	}
	var body map[string]any
	if err := json.Unmarshal(patch, &body); err != nil {
		return nil, fmt.Errorf("patch of status: %w", err)
	}
	body["metadata"] = map[string]any{"uid": uid}
	return json.Marshal(body)
}
