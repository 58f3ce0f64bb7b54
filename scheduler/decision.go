package scheduler

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/plugins/defaultpreemption"
	"github.com/septet-io/septet/scheduler/queue"
	"github.com/septet-io/septet/scheduler/snapshot"
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
func (s *scheduler) considered(_ *snapshot.Pod, list []defaultpreemption.Candidate, chosen int) {
	p := &Preemption{Chosen: s.snapshot.NameOf(list[chosen].Row), Why: defaultpreemption.Why(list, chosen)}
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

// remedies picks, from nodes where a single plugin is in the way, what would help.
func remedies(nodes []decide.NodeExplanation) (list []string) {
	for i := range nodes {
		if r := nodes[i].Refusals; len(r) == 1 && len(r[0].Remedies) == 1 {
			list = append(list, r[0].Remedies[0])
		}
		if len(list) == 5 {
			break
		}
	}
	return list
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
