// Package plugin is the contract between the scheduler and its plugins. A plugin implements the extension points that it wants.
//
// Filters and scores come in two forms. Columns are compiled once for all pods of a shape against the Snapshot's columns, and their
// answers are kept and updated by deltas: this is how a placement costs the same whatever the number of nodes. The per-pod form
// (PreFilter, Filter, Score) is asked anew for each pod, and is for rules that look at objects outside the Snapshot's columns.
//
//	queue:     PreEnqueue, QueueSort
//	decision:  PreFilter, Filter, PostFilter, PreScore, Score, Normalize, Reserve, Permit   (one pod at a time)
//	binding:   PreBind, Bind, PostBind   (many pods at a time; may do I/O)
package plugin

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/snapshot"
)

// MaxScore is the best score that a plugin gives a node; 0 is the worst.
const MaxScore int64 = 100

// Plugin is anything that implements an extension point.
type Plugin interface {
	// Name is the plugin's name in configurations, metrics and events.
	Name() string
}

// PreEnqueue decides whether a pod may enter the queue at all.
type PreEnqueue interface {
	Plugin
	PreEnqueue(pod *corev1.Pod) *Status
}

// QueueSort orders the queue: whether a goes before b.
type QueueSort interface {
	Plugin
	Less(a, b Queued) bool
}

// Queued is what an order may look at.
type Queued struct {
	Pod      *corev1.Pod
	Priority int32
	// Since is when the pod entered the queue.
	Since time.Time
	// Order breaks ties: lower came first.
	Order uint64
}

// PreFilter looks at a pod before its nodes. A Skip status leaves the plugin's Filter out for this pod; nodes, when not nil, are the
// only ones to consider.
type PreFilter interface {
	Plugin
	PreFilter(c *Cycle) (nodes []string, status *Status)
}

// Filter says whether the pod can run on a row.
type Filter interface {
	Plugin
	Filter(c *Cycle, row int32) *Status
}

// PostFilter is called when no node is feasible, and may make room.
type PostFilter interface {
	Plugin
	// PostFilter returns the row that will have room, and a status: Success if there is one, else its reasons join the event. With an
	// Unresolvable status, a row that was promised to the pod before stays promised.
	PostFilter(ctx context.Context, c *Cycle, failure *Failure) (row int32, status *Status)
}

// PreScore prepares the scoring of the feasible rows. A Skip status leaves the plugin's Score out for this pod.
type PreScore interface {
	Plugin
	PreScore(c *Cycle, rows []int32) *Status
}

// Score rates a feasible row from 0 to MaxScore, or anything if the plugin also implements Normalize.
type Score interface {
	Plugin
	Score(c *Cycle, row int32) (int64, *Status)
}

// Rater is implemented by a Score that may have nothing to say of a pod: then it is not asked, as if it gave every row 0.
type Rater interface {
	Rates(c *Cycle) bool
}

// Normalize brings raw scores into 0 to MaxScore.
type Normalize interface {
	Normalize(c *Cycle, rows []int32, scores []int64) *Status
}

// Reserve takes what the pod needs on its row, in memory; Unreserve gives it back and must bear to be called twice.
type Reserve interface {
	Plugin
	Reserve(c *Cycle, row int32) *Status
	Unreserve(c *Cycle, row int32)
}

// Permit may let the pod go on, refuse it, or with a Wait status make it wait for at most the given time.
type Permit interface {
	Plugin
	Permit(ctx context.Context, c *Cycle, node string) (*Status, time.Duration)
}

// PreBind does what must be done before the pod is bound. It runs beside other decisions and must not read the Snapshot.
type PreBind interface {
	Plugin
	PreBind(ctx context.Context, c *Cycle, node string) *Status
}

// PreFlight is implemented by a PreBind that often has nothing to do. One without it is taken to have something to do for every pod.
type PreFlight interface {
	// WillPreBind says, after Reserve, whether PreBind will do anything that takes time.
	WillPreBind(c *Cycle) bool
}

// Bind binds the pod, or with a Skip status leaves it to the next one.
type Bind interface {
	Plugin
	Bind(ctx context.Context, c *Cycle, node string) *Status
}

// PostBind is told of a pod that was bound.
type PostBind interface {
	Plugin
	PostBind(ctx context.Context, c *Cycle, node string)
}

// Events names the cluster events that may make a pod schedulable that this plugin refused. A plugin without it is woken by every event.
type Events interface {
	Plugin
	Events() []EventHint
}

// Failure is what a PostFilter may ask about a decision that found no feasible node.
type Failure struct {
	// Nodes is how many there are.
	Nodes int
	// Helpful says of each row whether evicting pods might make it feasible.
	Helpful func(row int32) bool
	// Fits evaluates the filters on one row as the Snapshot is now, and when pods with at least the pod's priority that are promised
	// the row are there, too. It returns the reasons if they refuse. Used in a trial, Restore must follow when all is back in place.
	Fits    func(row int32) (reasons []string, ok bool)
	Restore func(row int32)
	// ByRow says that Fits depends on nothing but the row, so that an answer holds until the row changes.
	ByRow bool
	// Extenders narrow preemption down further; nil if there are none. It gets victims by row and returns those of rows that remain.
	Extenders func(ctx context.Context, victims map[int32]Victims) (map[int32]Victims, error)
}

// Victims are the pods to evict from a node.
type Victims struct {
	Pods []*snapshot.Pod
	// Violations counts the pods among them whose disruption budget does not allow it.
	Violations int64
}

// Cycle is what plugins know of one pod on its way from the queue to its node.
type Cycle struct {
	Pod      *snapshot.Pod
	Snapshot *snapshot.Snapshot
	// Profile is the scheduler name under which the pod is decided.
	Profile string
	state   map[string]any
}

// Set keeps a plugin's own state for the rest of the cycle.
func (c *Cycle) Set(key string, value any) {
	if c.state == nil {
		c.state = map[string]any{}
	}
	c.state[key] = value
}

// Get returns what Set kept, or nil.
func (c *Cycle) Get(key string) any { return c.state[key] }
