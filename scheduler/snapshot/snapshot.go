// Package snapshot holds all that a scheduling decision may read, as columns: a row a node, arrays of numbers for resources,
// interned taints, labels and selectors, counters of pods by selector and topology domain. It is kept by deltas: an event costs
// what it changes, never what there is. One goroutine owns a Snapshot; nothing in it is safe for concurrent use.
package snapshot

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Resources with a fixed column; every other resource is interned after them.
const (
	CPU       int32 = iota // millicores
	Memory                 // bytes
	Ephemeral              // bytes
	PodSlots               // pods
	fixedResources
)

// Flags of a row.
const (
	Present       uint8 = 1 << iota // the Node object exists
	Unschedulable                   // spec.unschedulable
)

// logSize is how many row changes are remembered for those that catch up; who is further behind starts over.
const logSize = 1 << 14

// Snapshot is the cluster as the scheduler knows it, assumed pods included.
type Snapshot struct {
	// Node digests by row; nil where only pods of an unknown node are.
	Node []*Node
	// Flags by row.
	Flags []uint8
	// Taints is the interned taint set by row; TaintSets has their contents.
	Taints []int32
	// Allocatable and Requested are indexed by resource, then row.
	Allocatable, Requested [][]int64
	// NonZeroCPU and NonZeroMemory sum requests with upstream's defaults for containers that ask for nothing.
	NonZeroCPU, NonZeroMemory []int64
	// Pods on the row, assumed ones included, in no order.
	Pods [][]*Pod
	// Nominated pods are not on the row yet but are promised it.
	Nominated [][]*Pod

	rows     map[string]int32 // by node name
	free     []int32
	nodes    int // rows with Present
	nominees int

	pods map[types.UID]*Pod

	resources     []string
	resourceIndex map[string]int32

	taints     taintSets
	selectors  map[string]*NodeSelector
	topologies map[string]*Topology
	images     map[string]*imageSpread
	ports      map[int32]map[HostPort]int32

	shapes     map[string]*Shape
	keyBuffer  []byte
	keyNames   []string
	labelKeys  []string       // keys that some selector looks at; other labels cannot matter
	labelIndex map[string]int // key to its place in labelKeys
	idleShapes int

	counters    map[string]*Counter
	counterList []*Counter
	terms       map[string]*Term
	termList    []*Term
	labelRefs   int

	namespaces map[string]labels.Set
	nsSelected bool // some term selects namespaces by label
	owners     owners
	// Volumes and Devices are the storage and device objects that plugins read.
	Volumes Volumes
	Devices Devices

	log      [logSize]int32
	seq      uint64
	touched  []uint64 // by row: the last seq that changed it
	epoch    uint64   // changes when everything compiled must be thrown away
	trial    int      // depth of trials: changes that are taken back before the decision ends
	history  history
	imageSeq uint64
}

// New returns an empty Snapshot.
func New() *Snapshot {
	s := &Snapshot{
		rows: map[string]int32{}, pods: map[types.UID]*Pod{}, resourceIndex: map[string]int32{},
		selectors: map[string]*NodeSelector{}, topologies: map[string]*Topology{}, images: map[string]*imageSpread{},
		ports: map[int32]map[HostPort]int32{}, shapes: map[string]*Shape{}, labelIndex: map[string]int{},
		counters: map[string]*Counter{}, terms: map[string]*Term{}, namespaces: map[string]labels.Set{},
		owners: owners{byNamespace: map[string]*ownersIn{}},
	}
	for _, name := range []string{"cpu", "memory", "ephemeral-storage", "pods"} {
		s.Resource(name)
	}
	s.taints.init()
	s.Volumes.init()
	s.Devices.init()
	return s
}

// Rows is the number of rows, holes included: rows go from 0 to Rows()-1.
func (s *Snapshot) Rows() int { return len(s.Node) }

// Nodes is the number of nodes that exist.
func (s *Snapshot) Nodes() int { return s.nodes }

// Row finds a node by name.
func (s *Snapshot) Row(name string) (row int32, ok bool) {
	row, ok = s.rows[name]
	return row, ok && s.Flags[row]&Present != 0
}

// Exists says whether the row has a Node object.
func (s *Snapshot) Exists(row int32) bool { return s.Flags[row]&Present != 0 }

// Seq numbers the changes: it grows by one with every change of a row.
func (s *Snapshot) Seq() uint64 { return s.seq }

// Epoch changes when whatever was compiled against the Snapshot is void.
func (s *Snapshot) Epoch() uint64 { return s.epoch }

// Since calls visit for each row that changed since seq, once each, and returns the new seq. It returns false, without
// calling visit, when that is too long ago to tell or as much work as starting over.
func (s *Snapshot) Since(seq uint64, visit func(row int32)) (uint64, bool) {
	behind := s.seq - seq
	if behind > logSize || behind > uint64(len(s.Node)) {
		return s.seq, false
	}
	for ; seq < s.seq; seq++ {
		row := s.log[seq%logSize]
		if s.touched[row] == seq { // else a later entry covers it
			visit(row)
		}
	}
	return s.seq, true
}

// touch notes that a row changed.
func (s *Snapshot) touch(row int32) {
	if s.trial > 0 {
		return
	}
	s.log[s.seq%logSize] = row
	s.touched[row] = s.seq
	s.seq++
}

// Void throws away everything compiled, on events that are rare and reach everything.
func (s *Snapshot) Void() { s.epoch++ }

// Trial runs f, in which pods may be removed and added back: f must leave everything as it found it.
// Changes made in it are not told to anyone, so whoever evaluates inside must follow the rows itself.
func (s *Snapshot) Trial(f func()) {
	s.trial++
	defer func() { s.trial-- }()
	f()
}

// InTrial says whether a trial is going on: then the state is not what RowSeq tells.
func (s *Snapshot) InTrial() bool { return s.trial > 0 }

// row returns the row of a node name, making an empty one if there is none.
func (s *Snapshot) rowFor(name string) int32 {
	if row, ok := s.rows[name]; ok {
		return row
	}
	var row int32
	if n := len(s.free); n > 0 {
		row, s.free = s.free[n-1], s.free[:n-1]
	} else {
		row = int32(len(s.Node))
		s.grow()
	}
	s.rows[name] = row
	return row
}

func (s *Snapshot) grow() {
	s.Node = append(s.Node, nil)
	s.Flags = append(s.Flags, 0)
	s.Taints = append(s.Taints, 0)
	s.NonZeroCPU = append(s.NonZeroCPU, 0)
	s.NonZeroMemory = append(s.NonZeroMemory, 0)
	s.Pods = append(s.Pods, nil)
	s.Nominated = append(s.Nominated, nil)
	s.touched = append(s.touched, ^uint64(0))
	for r := range s.Allocatable {
		s.Allocatable[r] = append(s.Allocatable[r], 0)
		s.Requested[r] = append(s.Requested[r], 0)
	}
	for _, t := range s.topologies {
		t.of = append(t.of, -1)
	}
	for _, sel := range s.selectors {
		sel.grow(len(s.Node))
	}
}

// release frees a row that has neither node nor pods.
func (s *Snapshot) release(name string, row int32) {
	if s.Flags[row]&Present == 0 && len(s.Pods[row]) == 0 && len(s.Nominated[row]) == 0 {
		delete(s.rows, name)
		s.free = append(s.free, row)
	}
}

// NameOf is the node name of a row, "" if only the names of its pods say it.
func (s *Snapshot) NameOf(row int32) string {
	if node := s.Node[row]; node != nil {
		return node.Name
	}
	for name, r := range s.rows {
		if r == row {
			return name
		}
	}
	return ""
}

// RowSeq is the number of the row's last change.
func (s *Snapshot) RowSeq(row int32) uint64 { return s.touched[row] }
