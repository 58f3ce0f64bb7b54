package snapshot

import (
	"encoding/binary"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// HostPort is one port of the host that a pod wants for itself.
type HostPort struct {
	IP       string // "" is all addresses
	Protocol corev1.Protocol
	Port     int32
}

// Conflicts says whether two ports cannot be on one node: same protocol and number, and addresses that overlap.
func (p HostPort) Conflicts(o HostPort) bool {
	return p.Port == o.Port && p.Protocol == o.Protocol && (p.IP == o.IP || p.IP == "" || o.IP == "")
}

// Shape is what all pods have in common that ask for the same: two pods of one shape get the same answer from every rule that
// looks at the pod alone. Labels that no selector in the cluster looks at do not count.
type Shape struct {
	Namespace, SchedulerName string
	Priority                 int32
	Requests                 Requests
	Ports                    []HostPort
	// Spec is of the first pod that had the shape. Volumes, claims, names and a choice of node by name may differ in others.
	Spec   *corev1.PodSpec
	Labels labels.Set // those that count
	Owner  *metav1.OwnerReference
	// Programs holds what was compiled for the shape, by profile; it belongs to whoever decides.
	Programs map[string]any

	carried []*Term
	counted []*Counter
	key     string
	refs    int // placed and nominated pods
}

// Intern returns the shape of a pod. It costs no allocation when the shape is known.
func (s *Snapshot) Intern(pod *corev1.Pod) *Shape {
	requests := s.podRequests(pod, &s.owners.scratch)
	key := s.shapeKey(pod, requests)
	s.keyBuffer = key
	if shape, ok := s.shapes[string(key)]; ok {
		return shape
	}
	return s.newShape(pod, requests, string(key))
}

func (s *Snapshot) shapeKey(pod *corev1.Pod, r *Requests) []byte {
	spec := &pod.Spec
	b := appendString(s.keyBuffer[:0], spec.SchedulerName)
	b = appendString(b, pod.Namespace)
	b = appendInt(b, int64(PriorityOf(pod)))
	b = appendInt(appendInt(appendInt(b, r.CPU), r.Memory), r.Ephemeral)
	b = appendInt(appendInt(b, r.NonZeroCPU), r.NonZeroMemory)
	b = binary.AppendUvarint(b, uint64(len(r.Scalars)))
	for _, a := range r.Scalars {
		b = appendInt(appendInt(b, int64(a.Resource)), a.Value)
	}
	for i, key := range s.labelKeys {
		if value, ok := pod.Labels[key]; ok {
			b = appendString(binary.AppendUvarint(b, uint64(i)+1), value)
		}
	}
	b = append(b, 0)
	b = s.appendMap(b, spec.NodeSelector)
	if spec.Affinity != nil && !OneNodeByName(spec.Affinity) {
		b = s.appendAffinity(append(b, 'A'), spec.Affinity)
	} else if spec.Affinity != nil {
		b = s.appendAffinity(append(b, 'B'), withoutRequired(spec.Affinity))
	}
	for i := range spec.Tolerations {
		t := &spec.Tolerations[i]
		b = appendString(append(b, 'T'), t.Key)
		b = appendString(appendString(b, t.Value), string(t.Operator))
		b = appendString(b, string(t.Effect))
	}
	if len(spec.TopologySpreadConstraints) > 0 {
		b = s.appendSpread(append(b, 'S'), spec.TopologySpreadConstraints)
	}
	b = appendContainers(b, spec)
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		b = appendString(appendString(append(b, 'O'), owner.Kind), owner.Name)
	}
	return b
}

// appendContainers writes images and host ports.
func appendContainers(b []byte, spec *corev1.PodSpec) []byte {
	b = append(b, 'C')
	for i := range spec.InitContainers {
		b = appendString(append(b, 'i'), spec.InitContainers[i].Image)
		b = appendPorts(b, spec.InitContainers[i].Ports)
	}
	for i := range spec.Containers {
		b = appendString(append(b, 'c'), spec.Containers[i].Image)
		b = appendPorts(b, spec.Containers[i].Ports)
	}
	for i := range spec.Volumes {
		if image := spec.Volumes[i].Image; image != nil {
			b = appendString(append(b, 'v'), image.Reference)
		}
	}
	return b
}

func appendPorts(b []byte, ports []corev1.ContainerPort) []byte {
	for i := range ports {
		if p := &ports[i]; p.HostPort > 0 {
			b = appendInt(append(b, 'p'), int64(p.HostPort))
			b = appendString(appendString(b, string(p.Protocol)), p.HostIP)
		}
	}
	return b
}

// OneNodeByName recognizes the node affinity of daemon pods: one required term with one field, metadata.name In one value.
// It is kept out of the shape, so that all pods of a daemon set share one.
func OneNodeByName(a *corev1.Affinity) bool {
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return false
	}
	terms := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if len(terms) != 1 || len(terms[0].MatchExpressions) != 0 || len(terms[0].MatchFields) != 1 {
		return false
	}
	f := &terms[0].MatchFields[0]
	return f.Key == "metadata.name" && f.Operator == corev1.NodeSelectorOpIn && len(f.Values) == 1
}

func withoutRequired(a *corev1.Affinity) *corev1.Affinity {
	if len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0 && a.PodAffinity == nil && a.PodAntiAffinity == nil {
		return &noAffinity
	}
	return &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution},
		PodAffinity:  a.PodAffinity, PodAntiAffinity: a.PodAntiAffinity,
	}
}

var noAffinity corev1.Affinity

// PriorityOf is the pod's priority, 0 if it has none.
func PriorityOf(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

func (s *Snapshot) newShape(pod *corev1.Pod, requests *Requests, key string) *Shape {
	shape := &Shape{
		Namespace: pod.Namespace, SchedulerName: pod.Spec.SchedulerName, Priority: PriorityOf(pod),
		Requests: *requests, Ports: hostPorts(&pod.Spec), Spec: &pod.Spec, Owner: metav1.GetControllerOf(pod), key: key,
		Labels: labels.Set{},
	}
	shape.Requests.Scalars = slices.Clone(requests.Scalars)
	spread := pod.Spec.TopologySpreadConstraints
	before := len(s.labelKeys)
	s.lookAtPod(pod, spread)
	for _, k := range s.labelKeys {
		if v, ok := pod.Labels[k]; ok {
			shape.Labels[k] = v
		}
	}
	if len(s.labelKeys) != before { // the key that it was looked up by was too short
		shape.key = string(s.shapeKey(pod, &shape.Requests))
		if known, ok := s.shapes[shape.key]; ok {
			return known
		}
	}
	s.carry(shape, pod)
	for _, c := range s.counterList {
		shape.count(s, c)
	}
	s.shapes[shape.key] = shape
	if s.idleShapes++; s.idleShapes > 1024 {
		s.sweep(shape)
	}
	return shape
}

// lookAtPod makes the label keys that the pod's own rules look at count.
func (s *Snapshot) lookAtPod(pod *corev1.Pod, spread []corev1.TopologySpreadConstraint) {
	for i := range spread {
		s.lookAt(SelectorOf(spread[i].LabelSelector))
		for _, key := range spread[i].MatchLabelKeys {
			s.lookAtKey(key)
		}
	}
	eachTerm(pod.Spec.Affinity, func(t *corev1.PodAffinityTerm) {
		s.lookAt(SelectorOf(t.LabelSelector))
		for _, key := range t.MatchLabelKeys {
			s.lookAtKey(key)
		}
		for _, key := range t.MismatchLabelKeys {
			s.lookAtKey(key)
		}
	})
}

func eachTerm(a *corev1.Affinity, visit func(*corev1.PodAffinityTerm)) {
	if a == nil {
		return
	}
	if p := a.PodAffinity; p != nil {
		for i := range p.RequiredDuringSchedulingIgnoredDuringExecution {
			visit(&p.RequiredDuringSchedulingIgnoredDuringExecution[i])
		}
		for i := range p.PreferredDuringSchedulingIgnoredDuringExecution {
			visit(&p.PreferredDuringSchedulingIgnoredDuringExecution[i].PodAffinityTerm)
		}
	}
	if p := a.PodAntiAffinity; p != nil {
		for i := range p.RequiredDuringSchedulingIgnoredDuringExecution {
			visit(&p.RequiredDuringSchedulingIgnoredDuringExecution[i])
		}
		for i := range p.PreferredDuringSchedulingIgnoredDuringExecution {
			visit(&p.PreferredDuringSchedulingIgnoredDuringExecution[i].PodAffinityTerm)
		}
	}
}

// carry interns the terms by which pods of the shape, once placed, bear on others.
func (s *Snapshot) carry(shape *Shape, pod *corev1.Pod) {
	a := pod.Spec.Affinity
	if a == nil {
		return
	}
	add := func(kind TermKind, terms []AffinityTerm) {
		for _, t := range terms {
			shape.carried = append(shape.carried, s.term(kind, t))
		}
	}
	if p := a.PodAffinity; p != nil {
		add(RequiredAffinity, AffinityTerms(pod.Namespace, pod.Labels, p.RequiredDuringSchedulingIgnoredDuringExecution))
		add(PreferredAffinity, WeightedTerms(pod.Namespace, pod.Labels, p.PreferredDuringSchedulingIgnoredDuringExecution))
	}
	if p := a.PodAntiAffinity; p != nil {
		add(RequiredAntiAffinity, AffinityTerms(pod.Namespace, pod.Labels, p.RequiredDuringSchedulingIgnoredDuringExecution))
		add(PreferredAntiAffinity, WeightedTerms(pod.Namespace, pod.Labels, p.PreferredDuringSchedulingIgnoredDuringExecution))
	}
}

func (shape *Shape) count(s *Snapshot, c *Counter) {
	for i := range c.matches {
		if !s.Matches(&c.matches[i], shape) {
			return
		}
	}
	shape.counted = append(shape.counted, c)
}

func hostPorts(spec *corev1.PodSpec) (out []HostPort) {
	add := func(c *corev1.Container) {
		for i := range c.Ports {
			if p := &c.Ports[i]; p.HostPort > 0 {
				port := HostPort{IP: p.HostIP, Protocol: p.Protocol, Port: p.HostPort}
				if port.IP == "0.0.0.0" {
					port.IP = ""
				}
				if port.Protocol == "" {
					port.Protocol = corev1.ProtocolTCP
				}
				out = append(out, port)
			}
		}
	}
	for i := range spec.InitContainers { // only those that go on running hold their ports
		if p := spec.InitContainers[i].RestartPolicy; p != nil && *p == corev1.ContainerRestartPolicyAlways {
			add(&spec.InitContainers[i])
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	return out
}

func selectsNothing(selector labels.Selector) bool {
	_, selectable := selector.Requirements()
	return !selectable
}

// unref notes that a pod with the shape has gone.
func (s *Snapshot) unref(shape *Shape) {
	if shape.refs--; shape.refs == 0 {
		s.idleShapes++
	}
}

// Releaser is implemented by what Shape.Programs holds.
type Releaser interface{ Release() }

// sweep forgets shapes that no pod has, except one.
func (s *Snapshot) sweep(keep *Shape) {
	s.idleShapes = 0
	for key, shape := range s.shapes {
		if shape.refs > 0 || shape == keep {
			continue
		}
		for _, p := range shape.Programs {
			if r, ok := p.(Releaser); ok {
				r.Release()
			}
		}
		shape.Programs = nil
		delete(s.shapes, key)
		for _, t := range shape.carried {
			s.dropTerm(t)
		}
	}
}
