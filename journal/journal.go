// Package journal is the memory of what each component did to which object at which revision, so that one
// object's way through the cluster can be told in order and with causes. It is a ring: bounded in
// memory, cheap to write (no lock that a hot path could wait on), and it never holds an object's contents.
package journal

import (
	"sort"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Record is one step. The zero value of a field means that it is not known or does not apply.
type Record struct {
	Time      time.Time     `json:"time"`
	Component string        `json:"component"` // one of the seven, "runtime" or "dns"
	Step      string        `json:"step"`      // a word or two: "create", "bind", "reconcile", "start container"
	Kind      string        `json:"kind"`      // of the object acted on
	Namespace string        `json:"namespace,omitempty"`
	Name      string        `json:"name"`
	UID       types.UID     `json:"uid,omitempty"`
	// Saw is the resourceVersion that was acted on, Made the one that the step's write made.
	Saw  string `json:"saw,omitempty"`
	Made string `json:"made,omitempty"`
	// Duration of the step, where it has one; Time is its end.
	Duration time.Duration `json:"duration,omitempty"`
	// Note is a few words for people: "user alice, by ClusterRoleBinding admins". Never secret contents.
	Note string `json:"note,omitempty"`
	// Owner names the object on whose behalf it was done ("ReplicaSet/default/web-5d"), so that a story can be followed.
	Owner string `json:"owner,omitempty"`
	// Node where it happened, for node agents.
	Node string `json:"node,omitempty"`
}

// Ring keeps the last records of one component. A nil Ring is valid and keeps nothing.
type Ring struct {
	slots []atomic.Pointer[Record]
	next  atomic.Uint64
}

// DefaultSize is the number of records that a component keeps: about 1 MB when full.
const DefaultSize = 4096

// New returns a ring of the given number of records; DefaultSize if it is not positive.
func New(size int) *Ring {
	if size <= 0 {
		size = DefaultSize
	}
	return &Ring{slots: make([]atomic.Pointer[Record], size)}
}

// Note adds a record; Time is set to now if it is zero. Safe for concurrent use, wait-free.
func (r *Ring) Note(record Record) {
	if r == nil {
		return
	}
	if record.Time.IsZero() {
		record.Time = time.Now()
	}
	n := r.next.Add(1) - 1
	r.slots[n%uint64(len(r.slots))].Store(&record)
}

// Select returns the records that keep says true for (all if nil), oldest first.
func (r *Ring) Select(keep func(*Record) bool) []Record {
	if r == nil {
		return nil
	}
	var found []Record
	for i := range r.slots {
		if record := r.slots[i].Load(); record != nil && (keep == nil || keep(record)) {
			found = append(found, *record)
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].Time.Before(found[j].Time) })
	return found
}
