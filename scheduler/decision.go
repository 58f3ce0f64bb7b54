package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/plugins/defaultpreemption"
	"github.com/septet-io/septet/scheduler/queue"
)

// Outcomes of a decision.
const (
	Scheduled     = "scheduled"
	Unschedulable = "unschedulable"
	Failed        = "error"
	Undecided     = "undecided" // not tried yet, or not created
)

// Decision is why a pod is where it is, or nowhere: the answer of /debug/why.
type Decision struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid,omitempty"`
	// Profile is the scheduler name under which it was decided.
	Profile string `json:"profile"`
	Outcome string `json:"outcome"`
	// Time, Attempt and Took are of the last decision.
	Time    time.Time     `json:"time,omitzero"`
	Attempt int           `json:"attempt,omitempty"`
	Took    time.Duration `json:"took,omitempty"`
	// Node is the chosen one, with its Score. Ties nodes had that score; the one at place Pick among them was taken at random.
	Node  string `json:"node,omitempty"`
	Score int64  `json:"score,omitempty"`
	Ties  int    `json:"ties,omitempty"`
	Pick  int    `json:"pick,omitempty"`
	// Feasible nodes were found among Evaluated ones.
	Feasible  int `json:"feasible"`
	Evaluated int `json:"evaluated"`
	// Message is the event's, where the pod was not scheduled.
	Message string `json:"message,omitempty"`
	// Remedies are changes each of which would make the pod fit on some node.
	Remedies   []string    `json:"remedies,omitempty"`
	Preemption *Preemption `json:"preemption,omitempty"`
	Queue      *Waiting    `json:"queue,omitempty"`
	// AsOf says when the nodes below were as they are shown: "decision", or "now" if that was too long ago to tell or there was none.
	AsOf string `json:"asOf"`
	decide.Explanation
}

// Waiting is a pending pod's place in the queue.
type Waiting struct {
	// Queue is active, backoff, unschedulable, gated or inflight.
	Queue    string    `json:"queue"`
	First    time.Time `json:"first"`
	Since    time.Time `json:"since"`
	Attempts int       `json:"attempts"`
	// Until is when the backoff ends.
	Until time.Time `json:"until,omitzero"`
	// Refused are the plugins whose events it waits for, For those events.
	Refused   []string `json:"refusedBy,omitempty"`
	For       []string `json:"waitsFor,omitempty"`
	Nominated string   `json:"nominatedNode,omitempty"`
	Reason    string   `json:"reason,omitempty"`
}

// Preemption is what was considered to make room.
type Preemption struct {
	Candidates []PreemptionCandidate `json:"candidates"`
	Chosen     string                `json:"chosen"`
	// Why names the rule by which the choice was made.
	Why string `json:"why"`
}

// PreemptionCandidate is a node and the pods that would have to go.
type PreemptionCandidate struct {
	Node            string   `json:"node"`
	Victims         []string `json:"victims"`
	Violations      int64    `json:"violatedBudgets,omitempty"`
	HighestPriority int32    `json:"highestPriority"`
}

// maxCandidates bounds the candidates that are kept of one preemption.
const maxCandidates = 20

// considered keeps what a preemption considered for the decision that is being made.
func (s *scheduler) considered(list []defaultpreemption.Candidate, chosen int, why string) {
	p := &Preemption{Chosen: s.snapshot.NameOf(list[chosen].Row), Why: why}
	for i := range list {
		if i >= maxCandidates && i != chosen {
			continue
		}
		c := PreemptionCandidate{Node: s.snapshot.NameOf(list[i].Row), Violations: list[i].Violations, HighestPriority: list[i].Pods[0].Shape.Priority}
		for _, v := range list[i].Pods {
			c.Victims = append(c.Victims, v.Object.Namespace+"/"+v.Object.Name)
		}
		p.Candidates = append(p.Candidates, c)
	}
	s.preemption = p
}

// waitingState describes an entry of the queue.
func (s *scheduler) waitingState(e *queue.Entry) *Waiting {
	w := &Waiting{Queue: e.Place().String(), First: e.First, Since: e.Since, Attempts: e.Attempts, Refused: e.Refused, Nominated: e.Promised, Reason: e.Why}
	if e.Place() == queue.Backoff {
		w.Until = e.Until()
	}
	seen := map[string]bool{}
	for _, name := range e.Refused {
		hints, ok := s.profiles[e.Profile].Events[name]
		if !ok {
			w.For = append(w.For, "any event")
			continue
		}
		for i := range hints {
			if what := hints[i].Resource.String() + " " + hints[i].Action.String(); !seen[what] {
				seen[what] = true
				w.For = append(w.For, what)
			}
		}
	}
	return w
}

// maxRemedies bounds the changes that are proposed.
const maxRemedies = 5

// remedies picks what would help: for each node all that must change there, the least first.
func remedies(nodes []decide.NodeExplanation) []string {
	type change struct {
		text  string
		parts int
	}
	var list []change
	for i := range nodes {
		if parts, ok := changesFor(&nodes[i]); ok {
			list = append(list, change{strings.Join(parts, ", and "), len(parts)})
		}
	}
	slices.SortStableFunc(list, func(a, b change) int { return a.parts - b.parts })
	var out []string
	for i := 0; i < len(list) && len(out) < maxRemedies; i++ {
		if !slices.Contains(out, list[i].text) {
			out = append(out, list[i].text)
		}
	}
	return out
}

// changesFor is what would make a node feasible; false if some filter knows nothing.
func changesFor(n *decide.NodeExplanation) (parts []string, ok bool) {
	for i := range n.Refusals {
		if len(n.Refusals[i].Remedies) == 0 {
			return nil, false
		}
		parts = append(parts, n.Refusals[i].Remedies...)
	}
	return parts, len(parts) > 0
}

// record is what is kept of a decision: enough to make it again.
type record struct {
	pod       *corev1.Pod
	profile   string
	time      time.Time
	took      time.Duration
	attempt   int
	moment    uint64
	node      string
	result    decide.Result
	message   string
	preempted *Preemption
	term      uint64
}

func (r *record) decision() *Decision {
	d := &Decision{
		Namespace: r.pod.Namespace, Name: r.pod.Name, UID: r.pod.UID, Profile: r.profile, Time: r.time, Attempt: r.attempt, Took: r.took,
		Node: r.node, Score: r.result.Score, Ties: r.result.Ties, Pick: r.result.Pick, Feasible: r.result.Feasible, Evaluated: r.result.Evaluated,
		Message: r.message, Preemption: r.preempted,
	}
	switch {
	case r.node != "":
		d.Outcome = Scheduled
	case r.result.Err != nil:
		d.Outcome, d.Message = Failed, fmt.Sprint(r.result.Err)
	default:
		d.Outcome = Unschedulable
	}
	return d
}
