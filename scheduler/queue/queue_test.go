package queue

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins/queuesort"
	"github.com/septet-io/septet/scheduler/snapshot"
)

var start = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// newQueue has two plugins: Fit waits for nodes, Picky for nodes with a certain name only.
func newQueue() *Queue {
	hints := map[string][]plugin.EventHint{
		"Fit": {{Resource: plugin.Node, Action: plugin.Add}},
		"Picky": {{Resource: plugin.Node, Action: plugin.Add, Hint: func(_ *corev1.Pod, e *plugin.Event) bool {
			return e.New.(*corev1.Node).Name == "right"
		}}},
	}
	return New(Config{
		Initial: time.Second, Max: 10 * time.Second, MaxUnschedulable: 5 * time.Minute, Profiles: []string{"p"}, Less: queuesort.New().Less,
		PreEnqueue: func(_ string, pod *corev1.Pod) *plugin.Status {
			if len(pod.Spec.SchedulingGates) > 0 {
				return &plugin.Status{Code: plugin.Unresolvable, Plugin: "SchedulingGates"}
			}
			return nil
		},
		Hints: func(_, name string) ([]plugin.EventHint, bool) { h, ok := hints[name]; return h, ok },
	})
}

func add(q *Queue, s *snapshot.Snapshot, name string, priority int32, now time.Time, gates ...corev1.PodSchedulingGate) *Entry {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	pod.Spec.SchedulerName, pod.Spec.Priority, pod.Spec.SchedulingGates = "p", &priority, gates
	return q.Add(s.NewPod(pod), now)
}

func popped(t *testing.T, q *Queue, now time.Time) string {
	t.Helper()
	e := q.Pop(now)
	if e == nil {
		return ""
	}
	return e.Pod.Object.Name
}

func nodeAdded(name string) *plugin.Event {
	return &plugin.Event{Resource: plugin.Node, Action: plugin.Add, Label: "NodeAdd", New: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}}
}

func TestPriorityThenAge(t *testing.T) {
	t.Parallel()
	q, s := newQueue(), snapshot.New()
	add(q, s, "old", 0, at(0))
	add(q, s, "young", 0, at(1))
	add(q, s, "important", 5, at(2))
	for _, want := range []string{"important", "old", "young", ""} {
		if got := popped(t, q, at(3)); got != want {
			t.Errorf("popped %q, want %q", got, want)
		}
	}
}

func TestARefusedPodWaitsForItsEvent(t *testing.T) {
	t.Parallel()
	q, s := newQueue(), snapshot.New()
	e := add(q, s, "picky", 0, at(0))
	q.Pop(at(0))
	q.Refuse(e, []string{"Picky"}, nil, at(0))
	if e.Place() != Unschedulable {
		t.Fatalf("it is %v", e.Place())
	}
	q.Happened(nodeAdded("wrong"), at(1))
	if e.Place() != Unschedulable {
		t.Errorf("woken by an event that cannot help: %v", e.Place())
	}
	q.Happened(nodeAdded("right"), at(2))
	if e.Place() != Active {
		t.Errorf("not woken, or still backing off after two seconds: %v", e.Place())
	}
}

func TestBackoffDoublesAndIsCutShortWhenThereIsNothingElse(t *testing.T) {
	t.Parallel()
	q, s := newQueue(), snapshot.New()
	e := add(q, s, "retry", 0, at(0))
	for attempt, want := range []int{1, 2, 4, 8, 10, 10} {
		if q.Pop(at(100*attempt)) != e {
			t.Fatal("not popped")
		}
		q.Fail(e, at(100*attempt))
		if e.Place() != Backoff || !e.Until().Equal(at(100*attempt+want)) {
			t.Errorf("attempt %d: %v until %v, want %d s", attempt+1, e.Place(), e.Until().Sub(at(100*attempt)), want)
		}
		if q.Pop(at(100*attempt)) != nil {
			t.Error("an error does not go early")
		}
	}
	q.Pop(at(1000))
	q.Refuse(e, []string{"Fit"}, nil, at(1000))
	q.Happened(nodeAdded("any"), at(1000))
	if e.Place() != Backoff {
		t.Fatalf("it is %v", e.Place())
	}
	other := add(q, s, "other", 0, at(1000))
	if q.Pop(at(1000)) != other {
		t.Error("what is ready goes first")
	}
	if q.Pop(at(1000)) != e {
		t.Error("then what only backs off from a refusal, since there is nothing better to do")
	}
}

func TestAnEventWhileAPodIsDecidedIsNotLost(t *testing.T) {
	t.Parallel()
	q, s := newQueue(), snapshot.New()
	e := add(q, s, "unlucky", 0, at(0))
	q.Pop(at(0))
	q.Happened(nodeAdded("meanwhile"), at(0))
	q.Refuse(e, []string{"Fit"}, nil, at(0))
	if e.Place() != Backoff {
		t.Errorf("it is %v", e.Place())
	}
}

func TestPendingSkipsBackoff(t *testing.T) {
	t.Parallel()
	q, s := newQueue(), snapshot.New()
	e := add(q, s, "pending", 0, at(0))
	q.Pop(at(0))
	q.Refuse(e, nil, []string{"Fit"}, at(0))
	q.Happened(nodeAdded("x"), at(0))
	if e.Place() != Active {
		t.Errorf("it is %v", e.Place())
	}
}

func TestGatesAndDeletion(t *testing.T) {
	t.Parallel()
	q, s := newQueue(), snapshot.New()
	e := add(q, s, "gated", 0, at(0), corev1.PodSchedulingGate{Name: "g"})
	if e.Place() != Gated || q.Pop(at(0)) != nil {
		t.Fatalf("it is %v", e.Place())
	}
	q.Happened(nodeAdded("x"), at(0))
	open := e.Pod.Object.DeepCopy()
	open.Spec.SchedulingGates = nil
	q.Update(e, open, &plugin.Event{Resource: plugin.UnscheduledPod, Action: plugin.UpdatePodGates, Label: "PodUpdate"}, at(0))
	if q.Pop(at(0)) != e {
		t.Error("not let in")
	}
	q.Remove(e.Pod.Object.UID)
	q.Refuse(e, []string{"Fit"}, nil, at(0))
	for _, p := range []Place{Active, Backoff, Unschedulable, Gated} {
		if q.Len(p) != 0 {
			t.Errorf("%d in %v", q.Len(p), p)
		}
	}
}

func TestWhoWaitsTooLongIsTriedAgain(t *testing.T) {
	t.Parallel()
	q, s := newQueue(), snapshot.New()
	e := add(q, s, "forgotten", 0, at(0))
	q.Pop(at(0))
	q.Refuse(e, []string{"Fit"}, nil, at(0))
	q.Pop(at(1))
	now := at(1)
	for e.Place() == Unschedulable && now.Before(at(3600)) {
		wake, ok := q.Wake()
		if !ok {
			t.Fatal("nobody would look at it again")
		}
		now = wake
		if q.Pop(now) == e {
			break
		}
	}
	if waited := now.Sub(at(0)); waited < 5*time.Minute || waited > 6*time.Minute {
		t.Errorf("tried again after %v", waited)
	}
}

// podLeft is that a pod has left a node.
func podLeft(node string) *plugin.Event {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "gone"}}
	pod.Spec.NodeName = node
	return &plugin.Event{Resource: plugin.AssignedPod, Action: plugin.Delete, Label: "AssignedPodDelete", Old: pod}
}

func TestWhoTrustsAPromiseLooksAtItsNodeOnly(t *testing.T) {
	t.Parallel()
	q, s := newQueue(), snapshot.New()
	var asked []string
	q.Hints = func(_, name string) ([]plugin.EventHint, bool) {
		return []plugin.EventHint{{Resource: plugin.AssignedPod, Action: plugin.Delete, Hint: func(pod *corev1.Pod, _ *plugin.Event) bool {
			asked = append(asked, pod.Name)
			return true
		}}}, true
	}
	refuse := func(name, node string, now time.Time) *Entry {
		e := add(q, s, name, 0, now)
		q.Pop(now)
		q.Promise(e, node)
		q.Refuse(e, []string{"Room"}, nil, now)
		return e
	}
	first, second, free := refuse("first", "a", at(0)), refuse("second", "b", at(0)), refuse("free", "", at(0))
	check := func(what string, event *plugin.Event, now time.Time, want ...string) {
		t.Helper()
		asked = nil
		q.Happened(event, now)
		slices.Sort(asked)
		if !slices.Equal(asked, want) {
			t.Errorf("%s: asked %v, want %v", what, asked, want)
		}
	}
	check("a pod leaves the promised node", podLeft("a"), at(1), "first", "free")
	if first.Place() == Unschedulable || free.Place() == Unschedulable || second.Place() != Unschedulable {
		t.Errorf("first is %v, free %v, second %v", first.Place(), free.Place(), second.Place())
	}
	check("a pod leaves another node", podLeft("c"), at(2))
	check("nobody knows what it left", podLeft(""), at(3), "second")
	forget := func(entries ...*Entry) {
		for _, e := range entries {
			q.Remove(e.Pod.Object.UID)
		}
	}
	forget(first, second, free)

	third := refuse("third", "c", at(4))
	q.Promise(third, "d")
	check("the promise was for another node", podLeft("c"), at(5))
	q.Promise(third, "")
	check("the promise was taken back", podLeft("e"), at(5), "third")
	forget(third)

	fourth := refuse("fourth", "f", at(6))
	check("the promise is fresh", podLeft("g"), at(16))
	check("it is not kept for long", podLeft("g"), at(17), "fourth")
	if fourth.Place() == Unschedulable {
		t.Error("fourth was not woken")
	}
	forget(fourth)

	fifth := refuse("fifth", "h", at(20))
	forget(fifth)
	check("who was deleted is asked nothing", podLeft("h"), at(21))
	if len(q.refused) != 0 {
		t.Errorf("%d plugins still have waiters", len(q.refused))
	}
}
