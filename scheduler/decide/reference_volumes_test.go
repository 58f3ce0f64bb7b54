package decide

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/scheduler/snapshot"
)

const testDriver = "csi.example.com"

// storage is the claims, volumes and attachment limits of a world. Claims without a volume are of the class "late", whose volumes can be
// made in some zones only.
type storage struct {
	claims  map[string]*corev1.PersistentVolumeClaim
	volumes map[string]*corev1.PersistentVolume
	zones   []string       // of the class
	limits  map[string]int // by node
}

// furnish makes storage at random, in both forms.
func (g *generator) furnish(s *snapshot.Snapshot) storage {
	w := storage{claims: map[string]*corev1.PersistentVolumeClaim{}, volumes: map[string]*corev1.PersistentVolume{}, zones: []string{pickOf(g, "z1", "z2"), "z3"}, limits: map[string]int{}}
	s.Volumes.Classes["late"] = &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "late"}, Provisioner: testDriver,
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
		AllowedTopologies: []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: corev1.LabelTopologyZone, Values: w.zones}}}}}
	for _, namespace := range []string{"default", "team"} {
		for i := range 5 {
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("c%d", i)}}
			claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{pickOf(g, corev1.ReadWriteOnce, corev1.ReadWriteOnce, corev1.ReadWriteOncePod)}
			claim.Spec.StorageClassName = ptr.To("late")
			if g.chance(75) {
				v := g.volume(namespace + "-" + claim.Name)
				claim.Spec.VolumeName, claim.Annotations = v.Name, map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
				w.volumes[v.Name], s.Volumes.Volumes[v.Name] = v, v
			}
			key := namespace + "/" + claim.Name
			w.claims[key], s.Volumes.Claims[key] = claim, claim
		}
	}
	return w
}

func (g *generator) volume(name string) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	if g.chance(70) {
		v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: testDriver, VolumeHandle: pickOf(g, name, name, "shared")}
	}
	if g.chance(30) {
		v.Labels[corev1.LabelTopologyZone] = pickOf(g, "z1", "z1__z2", "z3")
	}
	if g.chance(30) {
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{g.nodeTerm()}}}
	}
	return v
}

// attachable says how many volumes a node can attach.
func (l *life) attachable(n *corev1.Node) {
	if !l.chance(50) {
		return
	}
	limit := 1 + l.IntN(3)
	l.world.storage.limits[n.Name] = limit
	l.snapshot.Volumes.Nodes[n.Name] = &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: n.Name}, Spec: storagev1.CSINodeSpec{
		Drivers: []storagev1.CSINodeDriver{{Name: testDriver, Allocatable: &storagev1.VolumeNodeResources{Count: ptr.To(int32(limit))}}}}}
}

func (g *generator) mounts(p *corev1.Pod) {
	for i := range 1 + g.IntN(2) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("v%d", i), VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: fmt.Sprintf("c%d", g.IntN(5))}}})
	}
}

// keysOf names the pod's claims.
func keysOf(pod *corev1.Pod) (list []string) {
	for _, v := range pod.Spec.Volumes {
		list = append(list, pod.Namespace+"/"+v.PersistentVolumeClaim.ClaimName)
	}
	return list
}

// handle is what the driver attaches for a claim, "" if it is not the driver's.
func (s *storage) handle(key string) string {
	name := s.claims[key].Spec.VolumeName
	switch {
	case name == "":
		return "claim " + key
	case s.volumes[name].Spec.CSI == nil:
		return ""
	}
	return s.volumes[name].Spec.CSI.VolumeHandle
}

// storageRefuses notes which filters about storage refuse the node.
func (w *world) storageRefuses(pod *corev1.Pod, n *corev1.Node, into map[string]bool) {
	s := &w.storage
	for _, key := range keysOf(pod) {
		claim := s.claims[key]
		if claim.Spec.AccessModes[0] == corev1.ReadWriteOncePod && slices.ContainsFunc(w.pods, func(p *corev1.Pod) bool { return slices.Contains(keysOf(p), key) }) {
			into["VolumeRestrictions"] = true
		}
		v := s.volumes[claim.Spec.VolumeName]
		zone, zoned := n.Labels[corev1.LabelTopologyZone]
		switch {
		case v == nil:
			if !slices.Contains(s.zones, zone) {
				into["VolumeBinding"] = true
			}
			continue
		case v.Spec.NodeAffinity != nil && !slices.ContainsFunc(v.Spec.NodeAffinity.Required.NodeSelectorTerms, func(t corev1.NodeSelectorTerm) bool { return termHolds(t, n) }):
			into["VolumeBinding"] = true
		}
		if want, ok := v.Labels[corev1.LabelTopologyZone]; ok && zoned && !slices.Contains(strings.Split(want, "__"), zone) {
			into["VolumeZone"] = true
		}
	}
	w.attachmentsRefuse(pod, n, into)
}

func (w *world) attachmentsRefuse(pod *corev1.Pod, n *corev1.Node, into map[string]bool) {
	limit, ok := w.storage.limits[n.Name]
	if !ok {
		return
	}
	there, more := map[string]bool{}, map[string]bool{}
	for _, other := range w.on(n.Name) {
		for _, key := range keysOf(other) {
			if h := w.storage.handle(key); h != "" {
				there[h] = true
			}
		}
	}
	for _, key := range keysOf(pod) {
		if h := w.storage.handle(key); h != "" && !there[h] {
			more[h] = true
		}
	}
	if len(more) > 0 && len(there)+len(more) > limit {
		into["NodeVolumeLimits"] = true
	}
}
