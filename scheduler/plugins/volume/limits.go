package volume

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Limits respects how many volumes of a CSI driver a node can attach.
type Limits struct {
	of   *snapshot.Snapshot
	rows []attached
}

// attached is what is attached to a row, kept until the row or its volumes change.
type attached struct {
	seq, version uint64 // of the row, and of all volumes
	settled      bool   // no change of a volume can change it
	node         *storagev1.CSINode
	limits       []limit
	there        map[attachment]struct{}
}

// limit is how many volumes a driver can attach, and has attached.
type limit struct {
	driver    string
	max, used int64
}

// NewLimits returns the plugin.
func NewLimits() *Limits { return &Limits{} }

// Name implements plugin.Plugin.
func (*Limits) Name() string { return LimitsName }

// attachment is a volume as a driver counts it.
type attachment struct{ driver, handle string }

// PreFilter implements plugin.PreFilter.
func (*Limits) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	if !mayAttach(c.Pod.Object) {
		return nil, plugin.SkipStatus
	}
	list, _ := attachments(nil, c.Pod.Object, &c.Snapshot.Volumes)
	wanted := list[:0]
	for _, a := range list { // the same volume twice is one
		if !slices.Contains(wanted, a) {
			wanted = append(wanted, a)
		}
	}
	if len(wanted) == 0 {
		return nil, plugin.SkipStatus
	}
	c.Set(LimitsName, wanted)
	return nil, nil
}

// mayAttach says whether some volume of a pod may be a driver's.
func mayAttach(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil || v.Ephemeral != nil || inlineDriver(&v) != ""
	})
}

// Filter implements plugin.Filter.
func (p *Limits) Filter(c *plugin.Cycle, row int32) *plugin.Status {
	csiNode := c.Snapshot.Volumes.Nodes[c.Snapshot.Node[row].Name]
	if csiNode == nil {
		return nil
	}
	wanted := c.Get(LimitsName).([]attachment)
	at := p.at(c.Snapshot, row, csiNode)
	for i := range at.limits {
		l := &at.limits[i]
		used := l.used
		for _, a := range wanted {
			if a.driver != l.driver {
				continue
			}
			if _, ok := at.there[a]; ok {
				continue
			}
			if used++; used > l.max {
				return plugin.Reject(plugin.Unschedulable, "node(s) exceed max volume count")
			}
		}
	}
	return nil
}

// at is what is attached to the row now. In a trial the row is looked at anew, as trials leave no trace.
func (p *Limits) at(s *snapshot.Snapshot, row int32, csiNode *storagev1.CSINode) *attached {
	if s.InTrial() {
		at := &attached{}
		at.count(s, row, csiNode)
		return at
	}
	if p.of != s {
		p.of, p.rows = s, nil
	}
	for int(row) >= len(p.rows) {
		p.rows = append(p.rows, attached{})
	}
	at := &p.rows[row]
	if at.node != csiNode || at.seq != s.RowSeq(row) || !at.settled && at.version != s.Volumes.Version {
		at.count(s, row, csiNode)
	}
	return at
}

func (at *attached) count(s *snapshot.Snapshot, row int32, csiNode *storagev1.CSINode) {
	at.seq, at.version, at.node, at.settled = s.RowSeq(row), s.Volumes.Version, csiNode, true
	at.limits = at.limits[:0]
	for i := range csiNode.Spec.Drivers {
		if d := &csiNode.Spec.Drivers[i]; d.Allocatable != nil && d.Allocatable.Count != nil {
			at.limits = append(at.limits, limit{driver: d.Name, max: int64(*d.Allocatable.Count)})
		}
	}
	if at.there == nil {
		at.there = map[attachment]struct{}{}
	}
	clear(at.there)
	var list []attachment
	for _, other := range s.Pods[row] {
		if len(other.Object.Spec.Volumes) == 0 {
			continue
		}
		var settled bool
		list, settled = attachments(list[:0], other.Object, &s.Volumes)
		at.settled = at.settled && settled
		for _, a := range list {
			at.add(a)
		}
	}
}

func (at *attached) add(a attachment) {
	for i := range at.limits {
		if l := &at.limits[i]; l.driver == a.driver {
			if _, ok := at.there[a]; !ok {
				at.there[a] = struct{}{}
				l.used++
			}
		}
	}
}

// attachments appends the CSI volumes of a pod to list. One that is not provisioned yet counts under its claim's name; settled says
// that there is none such.
func attachments(list []attachment, pod *corev1.Pod, volumes *snapshot.Volumes) (_ []attachment, settled bool) {
	settled = true
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
			settled = false
			continue
		}
		if volume := volumes.Volume(claim.Spec.VolumeName); volume != nil {
			if driver, handle := csiOf(&volume.Spec.PersistentVolumeSource); driver != "" {
				list = append(list, attachment{driver, handle})
			}
			continue
		}
		settled = false
		if class := volumes.Classes[className(claim)]; class != nil {
			list = append(list, attachment{class.Provisioner, "claim " + key})
		}
	}
	return list, settled
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
