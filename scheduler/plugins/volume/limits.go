package volume

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Limits respects how many volumes of a CSI driver a node can attach.
type Limits struct{}

// NewLimits returns the plugin.
func NewLimits() *Limits { return &Limits{} }

// Name implements plugin.Plugin.
func (*Limits) Name() string { return LimitsName }

// attachment is a volume as a driver counts it.
type attachment struct{ driver, handle string }

// PreFilter implements plugin.PreFilter.
func (*Limits) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	if !slices.ContainsFunc(c.Pod.Object.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil || v.Ephemeral != nil || inlineDriver(&v) != ""
	}) {
		return nil, plugin.SkipStatus
	}
	wanted := attachments(c.Pod.Object, &c.Snapshot.Volumes)
	if len(wanted) == 0 {
		return nil, plugin.SkipStatus
	}
	c.Set(LimitsName, wanted)
	return nil, nil
}

// Filter implements plugin.Filter.
func (*Limits) Filter(c *plugin.Cycle, row int32) *plugin.Status {
	wanted := c.Get(LimitsName).([]attachment)
	csiNode := c.Snapshot.Volumes.Nodes[c.Snapshot.Node[row].Name]
	if csiNode == nil {
		return nil
	}
	limits := limitsOf(csiNode)
	if !slices.ContainsFunc(wanted, func(a attachment) bool { _, ok := limits[a.driver]; return ok }) {
		return nil
	}
	there := map[attachment]bool{}
	used := map[string]int64{}
	count := func(a attachment) bool {
		if there[a] {
			return false
		}
		there[a] = true
		used[a.driver]++
		return true
	}
	for _, other := range c.Snapshot.Pods[row] {
		if len(other.Object.Spec.Volumes) > 0 {
			for _, a := range attachments(other.Object, &c.Snapshot.Volumes) {
				count(a)
			}
		}
	}
	for _, a := range wanted {
		if limit, ok := limits[a.driver]; ok && count(a) && used[a.driver] > limit {
			return plugin.Reject(plugin.Unschedulable, "node(s) exceed max volume count")
		}
	}
	return nil
}

func limitsOf(n *storagev1.CSINode) map[string]int64 {
	limits := map[string]int64{}
	for i := range n.Spec.Drivers {
		if d := &n.Spec.Drivers[i]; d.Allocatable != nil && d.Allocatable.Count != nil {
			limits[d.Name] = int64(*d.Allocatable.Count)
		}
	}
	return limits
}

// attachments are the CSI volumes of a pod. One that is not provisioned yet counts under its claim's name.
func attachments(pod *corev1.Pod, volumes *snapshot.Volumes) (list []attachment) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if driver := inlineDriver(v); driver != "" {
			list = append(list, attachment{driver, inlineHandle(v)})
			continue
		}
		name := snapshot.ClaimName(pod, v)
		if name == "" {
			continue
		}
		key := pod.Namespace + "/" + name
		claim := volumes.Claim(key)
		if claim == nil {
			continue
		}
		if volume := volumes.Volume(claim.Spec.VolumeName); volume != nil {
			if driver, handle := csiOf(&volume.Spec.PersistentVolumeSource); driver != "" {
				list = append(list, attachment{driver, handle})
			}
		} else if class := volumes.Classes[className(claim)]; class != nil {
			list = append(list, attachment{class.Provisioner, "claim " + key})
		}
	}
	return list
}

// The drivers that stand for the volume types that were once built in.
const (
	awsDriver    = "ebs.csi.aws.com"
	gceDriver    = "pd.csi.storage.gke.io"
	azureDriver  = "disk.csi.azure.com"
	cinderDriver = "cinder.csi.openstack.org"
)

func csiOf(s *corev1.PersistentVolumeSource) (driver, handle string) {
	switch {
	case s.CSI != nil:
		return s.CSI.Driver, s.CSI.VolumeHandle
	case s.AWSElasticBlockStore != nil:
		return awsDriver, s.AWSElasticBlockStore.VolumeID
	case s.GCEPersistentDisk != nil:
		return gceDriver, s.GCEPersistentDisk.PDName
	case s.AzureDisk != nil:
		return azureDriver, s.AzureDisk.DataDiskURI
	case s.Cinder != nil:
		return cinderDriver, s.Cinder.VolumeID
	}
	return "", ""
}

func inlineDriver(v *corev1.Volume) string {
	switch {
	case v.AWSElasticBlockStore != nil:
		return awsDriver
	case v.GCEPersistentDisk != nil:
		return gceDriver
	case v.AzureDisk != nil:
		return azureDriver
	case v.Cinder != nil:
		return cinderDriver
	}
	return ""
}

func inlineHandle(v *corev1.Volume) string {
	_, handle := csiOf(&corev1.PersistentVolumeSource{GCEPersistentDisk: v.GCEPersistentDisk, AWSElasticBlockStore: v.AWSElasticBlockStore, AzureDisk: v.AzureDisk})
	if v.Cinder != nil {
		handle = v.Cinder.VolumeID
	}
	return handle
}

// Events implements plugin.Events.
func (*Limits) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.CSINode, Action: plugin.Add | plugin.UpdateOther},
		{Resource: plugin.AssignedPod, Action: plugin.Delete, Hint: func(_ *corev1.Pod, e *plugin.Event) bool {
			gone, ok := e.Old.(*corev1.Pod)
			return !ok || len(gone.Spec.Volumes) > 0
		}},
		{Resource: plugin.PersistentVolumeClaim, Action: plugin.Add, Hint: isOwnClaim},
	}
}
