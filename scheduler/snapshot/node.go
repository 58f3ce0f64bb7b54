package snapshot

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Node is what the scheduler keeps of a Node object. It is never changed, only replaced.
type Node struct {
	Name   string
	Labels map[string]string // shared with Object
	Object *corev1.Node
	images []string // normalized names
}

// imageSpread is on how many nodes an image lies, and how large it is.
type imageSpread struct {
	size  int64
	nodes map[int32]struct{}
}

// SetNode adds a node or takes over its new state. It says whether anything that a decision reads has changed.
func (s *Snapshot) SetNode(object *corev1.Node) bool {
	row := s.rowFor(object.Name)
	old := s.Node[row]
	if old != nil && s.Flags[row]&Present != 0 && !NodeChanged(old.Object, object) {
		s.Node[row] = &Node{Name: old.Name, Labels: object.Labels, Object: object, images: old.images}
		return false
	}
	s.remember(Change{Row: row, Node: old})
	if s.Flags[row]&Present == 0 {
		s.nodes++
		s.imageSeq++
	}
	flags := Present
	if object.Spec.Unschedulable {
		flags |= Unschedulable
	}
	node := &Node{Name: object.Name, Labels: object.Labels, Object: object}
	s.Flags[row] = flags
	s.Taints[row] = s.taints.intern(object.Spec.Taints)
	s.setAllocatable(row, object.Status.Allocatable)
	s.setImages(row, node, old)
	s.Node[row] = node
	s.relabel(row, node.Labels)
	s.touch(row)
	return true
}

// RemoveNode forgets a node; pods still there keep its row.
func (s *Snapshot) RemoveNode(name string) {
	row, ok := s.rows[name]
	if !ok || s.Flags[row]&Present == 0 {
		return
	}
	s.remember(Change{Row: row, Node: s.Node[row]})
	s.nodes--
	s.imageSeq++
	s.Flags[row] = 0
	s.Taints[row] = 0
	for r := range s.Allocatable {
		s.Allocatable[r][row] = 0
	}
	s.setImages(row, &Node{}, s.Node[row])
	s.relabel(row, nil)
	s.Node[row] = nil
	s.touch(row)
	s.release(name, row)
}

// NodeChanged says whether two states of a node differ in anything that a decision reads. Heartbeats do not.
func NodeChanged(a, b *corev1.Node) bool {
	return a.Spec.Unschedulable != b.Spec.Unschedulable ||
		!sameLabels(a.Labels, b.Labels) || !sameTaints(a.Spec.Taints, b.Spec.Taints) ||
		!equality.Semantic.DeepEqual(a.Status.Allocatable, b.Status.Allocatable) || !sameImages(a.Status.Images, b.Status.Images)
}

func sameLabels(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

func sameTaints(a, b []corev1.Taint) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Key != b[i].Key || a[i].Value != b[i].Value || a[i].Effect != b[i].Effect {
			return false
		}
	}
	return true
}

func sameImages(a, b []corev1.ContainerImage) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].SizeBytes != b[i].SizeBytes || len(a[i].Names) != len(b[i].Names) {
			return false
		}
		for j := range a[i].Names {
			if a[i].Names[j] != b[i].Names[j] {
				return false
			}
		}
	}
	return true
}

func (s *Snapshot) setAllocatable(row int32, list corev1.ResourceList) {
	for r := range s.Allocatable {
		s.Allocatable[r][row] = 0
	}
	for name, q := range list {
		if name == corev1.ResourcePods {
			s.Allocatable[PodSlots][row] = amountOf(name, q)
		} else if index, ok := s.schedulable(string(name)); ok {
			s.Allocatable[index][row] = amountOf(name, q)
		}
	}
}

func (s *Snapshot) setImages(row int32, node, old *Node) {
	if old != nil {
		for _, name := range old.images {
			if spread := s.images[name]; spread != nil {
				delete(spread.nodes, row)
				if len(spread.nodes) == 0 {
					delete(s.images, name)
				}
			}
		}
	}
	if node.Object != nil {
		for i := range node.Object.Status.Images {
			image := &node.Object.Status.Images[i]
			for _, name := range image.Names {
				spread := s.images[name]
				if spread == nil {
					spread = &imageSpread{nodes: map[int32]struct{}{}}
					s.images[name] = spread
				}
				spread.size = image.SizeBytes
				spread.nodes[row] = struct{}{}
				node.images = append(node.images, name)
			}
		}
	}
	if len(node.images) > 0 || (old != nil && len(old.images) > 0) {
		s.imageSeq++
	}
}

// ImageSeq changes whenever the spread of images over nodes may have.
func (s *Snapshot) ImageSeq() uint64 { return s.imageSeq }

// ImageOn says whether the image lies on the row, its size in bytes and the number of nodes that have it.
func (s *Snapshot) ImageOn(row int32, image string) (size int64, nodes int, ok bool) {
	spread := s.images[image]
	if spread == nil {
		return 0, 0, false
	}
	_, ok = spread.nodes[row]
	return spread.size, len(spread.nodes), ok
}

// ImageKnown says whether any node has the image.
func (s *Snapshot) ImageKnown(image string) bool { return s.images[image] != nil }

// NormalizeImage gives an image name without tag or digest the tag that it stands for.
func NormalizeImage(name string) string {
	if strings.LastIndexByte(name, ':') <= strings.LastIndexByte(name, '/') {
		return name + ":latest"
	}
	return name
}

// relabel takes over new labels into everything that is indexed by them.
func (s *Snapshot) relabel(row int32, nodeLabels map[string]string) {
	for _, sel := range s.selectors {
		sel.set(s, row)
	}
	for _, t := range s.topologies {
		s.moveDomain(t, row, nodeLabels)
	}
}
