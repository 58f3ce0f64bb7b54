package volume

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

// Zone keeps pods in the zones and regions that their volumes' labels name.
type Zone struct{}

// NewZone returns the plugin.
func NewZone() *Zone { return &Zone{} }

// Name implements plugin.Plugin.
func (*Zone) Name() string { return ZoneName }

// topologyLabels are the labels that count, new ones and those that came before.
var topologyLabels = []string{corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion, corev1.LabelTopologyZone, corev1.LabelTopologyRegion}

// place is a label of a volume and the values that a node may have.
type place struct {
	key    string
	values []string
}

// PreFilter implements plugin.PreFilter.
func (*Zone) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	pod := c.Pod.Object
	if !hasClaims(pod) {
		return nil, plugin.SkipStatus
	}
	var places []place
	var status *plugin.Status
	volumes := &c.Snapshot.Volumes
	claimsOf(pod, volumes, func(name string, _ bool, claim *corev1.PersistentVolumeClaim) bool {
		if claim == nil {
			return true // VolumeBinding says so
		}
		if claim.Spec.VolumeName == "" {
			class := volumes.Classes[className(claim)]
			switch {
			case class == nil:
				status = plugin.Reject(plugin.Unresolvable, "PersistentVolumeClaim had no pv name and storageClass name")
			case class.VolumeBindingMode == nil || *class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer:
				status = plugin.Reject(plugin.Unresolvable, "PersistentVolume had no name")
			}
			return status == nil
		}
		if volume := volumes.Volume(claim.Spec.VolumeName); volume != nil {
			for _, key := range topologyLabels {
				if value, ok := volume.Labels[key]; ok {
					places = append(places, place{key, strings.Split(value, "__")})
				}
			}
		}
		return true
	})
	if status != nil {
		return nil, status
	}
	if len(places) == 0 {
		return nil, plugin.SkipStatus
	}
	c.Set(ZoneName, places)
	return nil, nil
}

// Filter implements plugin.Filter. A node that says nothing about zones is taken to be where everything is.
func (*Zone) Filter(c *plugin.Cycle, row int32) *plugin.Status {
	labels := c.Snapshot.Node[row].Labels
	if !slices.ContainsFunc(topologyLabels, func(key string) bool { _, ok := labels[key]; return ok }) {
		return nil
	}
	for _, p := range c.Get(ZoneName).([]place) {
		value, ok := labels[p.key]
		if !ok {
			value, ok = labels[renamed[p.key]]
		}
		if !ok || !slices.Contains(p.values, value) {
			return plugin.Reject(plugin.Unresolvable, "node(s) had no available volume zone")
		}
	}
	return nil
}

// renamed gives a label's name of today for the one of before.
var renamed = map[string]string{
	corev1.LabelFailureDomainBetaZone: corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaRegion: corev1.LabelTopologyRegion,
}

// Events implements plugin.Events.
func (*Zone) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.StorageClass, Action: plugin.Add},
		{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeLabel},
		{Resource: plugin.PersistentVolumeClaim, Action: plugin.Add | plugin.UpdateOther, Hint: isOwnClaim},
		{Resource: plugin.PersistentVolume, Action: plugin.Add | plugin.UpdateOther},
	}
}
