package scheduler

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/profile"
	"github.com/septet-io/septet/scheduler/snapshot"
)

const (
	// archiveSize is how many decisions are kept.
	archiveSize = 2048
	// maxManifest bounds a manifest that is asked about.
	maxManifest = 1 << 20
)

// archive keeps the last decisions and explains them over HTTP:
//
//	GET  /debug/why/NAMESPACE/POD   why a pod is where it is, or still pending
//	POST /debug/why                 where a pod of the given manifest would go now (?namespace= if it names none)
type archive struct {
	mu      sync.Mutex
	ring    []record
	next    int
	places  map[types.NamespacedName]int // in ring
	current *scheduler                   // nil while not leading
}

func newArchive() *archive { return &archive{places: map[types.NamespacedName]int{}} }

func (a *archive) attach(s *scheduler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = s
}

func (a *archive) detach(*scheduler) { a.attach(nil) }

// note keeps one decision. It runs with every decision: what costs is left to those who ask.
func (a *archive) note(t *attempt, result *decide.Result, moment uint64, s *scheduler) {
	pod := t.entry.Pod.Object
	now := s.now()
	r := record{pod: pod, profile: t.profile.Name, time: now, took: now.Sub(t.began), attempt: t.entry.Attempts, moment: moment, result: *result, term: s.term}
	if result.Row >= 0 {
		r.node = s.snapshot.Node[result.Row].Name
	} else if result.Failure != nil {
		r.message = result.Failure.Message()
		r.result.Failure = nil
	}
	r.preempted, s.preemption = s.preemption, nil
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	a.mu.Lock()
	defer a.mu.Unlock()
	if place, ok := a.places[key]; ok && a.ring[place].pod.UID == pod.UID {
		a.ring[place] = r // a pod keeps its last decision only
		return
	}
	if len(a.ring) < archiveSize {
		a.ring = append(a.ring, record{})
	} else if old := a.ring[a.next].pod; a.places[types.NamespacedName{Namespace: old.Namespace, Name: old.Name}] == a.next {
		delete(a.places, types.NamespacedName{Namespace: old.Namespace, Name: old.Name})
	}
	a.ring[a.next] = r
	a.places[key] = a.next
	a.next = (a.next + 1) % archiveSize
}

func (a *archive) find(key types.NamespacedName) (record, *scheduler, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	place, ok := a.places[key]
	if !ok {
		return record{}, a.current, false
	}
	return a.ring[place], a.current, true
}

// errNotLeading says that another scheduler decides.
var errNotLeading = errors.New("this scheduler does not lead: ask the one that holds the lease")

// errUnknownPod says that there is nothing to explain.
var errUnknownPod = errors.New("there is no such pod, or it is not this scheduler's")

// ServeHTTP implements http.Handler.
func (a *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var d *Decision
	var err error
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/debug/why"), "/"), "/")
	switch {
	case r.Method == http.MethodGet && len(parts) == 2:
		d, err = a.explain(r.Context(), types.NamespacedName{Namespace: parts[0], Name: parts[1]})
	case r.Method == http.MethodPost && len(parts) == 1 && parts[0] == "":
		d, err = a.explainManifest(r.Context(), io.LimitReader(r.Body, maxManifest), r.URL.Query().Get("namespace"))
	default:
		http.Error(w, "GET /debug/why/NAMESPACE/POD, or POST a pod's manifest to /debug/why", http.StatusNotFound)
		return
	}
	switch {
	case errors.Is(err, errNotLeading):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case errors.Is(err, errUnknownPod):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(d); err != nil {
			return // the client has gone
		}
	}
}

// scene is what the deciding goroutine hands out for an explanation that is then made elsewhere.
type scene struct {
	decision *Decision
	pod      *corev1.Pod
	past     *snapshot.Past
}

// explain tells about a pod that exists.
func (a *archive) explain(ctx context.Context, key types.NamespacedName) (*Decision, error) {
	r, s, known := a.find(key)
	if s == nil {
		return nil, errNotLeading
	}
	var found scene
	err := s.ask(ctx, func() {
		pod := s.podNamed(key)
		if known && (pod == nil || pod.UID == r.pod.UID) {
			found.decision, found.pod = r.decision(), r.pod
			if r.term == s.term {
				var ok bool
				if found.past, ok = s.snapshot.At(r.moment); ok {
					found.decision.AsOf = "decision"
				}
			}
		} else if pod != nil {
			found.pod = pod
			found.decision = &Decision{Namespace: key.Namespace, Name: key.Name, UID: pod.UID, Profile: pod.Spec.SchedulerName, Outcome: Undecided, Node: pod.Spec.NodeName}
			if pod.Spec.NodeName != "" {
				found.decision.Outcome = Scheduled
			}
		}
		if found.pod == nil {
			return
		}
		if found.past == nil {
			found.past, _ = s.snapshot.At(s.snapshot.Moment())
			found.decision.AsOf = "now"
		}
		if e, ok := s.queue.Lookup(found.pod.UID); ok {
			found.decision.Queue = s.waitingState(e)
		}
	})
	if err != nil {
		return nil, err
	}
	if found.pod == nil {
		return nil, errUnknownPod
	}
	return found.decision, s.fillIn(ctx, &found)
}

// explainManifest tells about a pod that may never be created.
func (a *archive) explainManifest(ctx context.Context, body io.Reader, namespace string) (*Decision, error) {
	_, s, _ := a.find(types.NamespacedName{})
	if s == nil {
		return nil, errNotLeading
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	if err := yaml.Unmarshal(data, pod); err != nil {
		return nil, err
	}
	if pod.Kind != "Pod" || len(pod.Spec.Containers) == 0 {
		return nil, fmt.Errorf("kind %q: must be a Pod with containers", pod.Kind)
	}
	if pod.Namespace == "" {
		pod.Namespace = cmp.Or(namespace, metav1.NamespaceDefault)
	}
	askForLimits(pod.Spec.Containers)
	askForLimits(pod.Spec.InitContainers)
	if pod.Spec.SchedulerName == "" {
		pod.Spec.SchedulerName = corev1.DefaultSchedulerName
	}
	pod.UID, pod.Spec.NodeName = "manifest", ""
	found := scene{pod: pod, decision: &Decision{Namespace: pod.Namespace, Name: pod.Name, Profile: pod.Spec.SchedulerName, Outcome: Undecided, AsOf: "now"}}
	if err := s.ask(ctx, func() { found.past, _ = s.snapshot.At(s.snapshot.Moment()) }); err != nil {
		return nil, err
	}
	return found.decision, s.fillIn(ctx, &found)
}

// askForLimits lets containers ask for what they limit themselves to, as the API's defaults have it.
func askForLimits(containers []corev1.Container) {
	for i := range containers {
		r := &containers[i].Resources
		for name, q := range r.Limits {
			if _, ok := r.Requests[name]; ok {
				continue
			}
			if r.Requests == nil {
				r.Requests = corev1.ResourceList{}
			}
			r.Requests[name] = q
		}
	}
}

// ask runs f on the deciding goroutine and waits for it.
func (s *scheduler) ask(ctx context.Context, f func()) error {
	done := make(chan struct{})
	s.box.post(letter{kind: doKind, do: func() { f(); close(done) }})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.over:
		return errNotLeading
	}
}

// podNamed finds a pod in the informer's memory.
func (s *scheduler) podNamed(key types.NamespacedName) *corev1.Pod {
	pod, err := s.Client.Informers.Core().V1().Pods().Lister().Pods(key.Namespace).Get(key.Name)
	if err != nil {
		return nil
	}
	return pod
}

// fillIn explains every node, from a Snapshot of its own, so that decisions go on meanwhile.
func (s *scheduler) fillIn(ctx context.Context, found *scene) error {
	profiles, err := s.build(&plugin.Env{})
	if err != nil {
		return err
	}
	p := profiles[found.decision.Profile]
	if p == nil {
		return fmt.Errorf("there is no profile %q", found.decision.Profile)
	}
	return explainIn(ctx, found.past.Snapshot(), p, found.pod, found.decision)
}

// explainIn fills the nodes of a decision in.
func explainIn(ctx context.Context, copied *snapshot.Snapshot, p *profile.Profile, pod *corev1.Pod, d *Decision) error {
	if placed, ok := copied.Lookup(pod); ok { // as if it were not there yet
		copied.Displace(placed)
	}
	cycle := &plugin.Cycle{Pod: copied.NewPod(pod), Snapshot: copied, Profile: p.Name}
	x, err := decide.New(copied).Explain(ctx, &decide.Request{Profile: p, Cycle: cycle})
	if err != nil && !errors.Is(err, decide.ErrNoNodes) {
		return err
	}
	d.Explanation = *x
	if d.Outcome != Scheduled {
		d.Remedies = remedies(x.Nodes)
	}
	if d.Outcome == Undecided {
		for i := range x.Nodes {
			if n := &x.Nodes[i]; n.Feasible {
				d.Feasible++
				d.Node, d.Score = x.Nodes[0].Node, x.Nodes[0].Total
			}
		}
		d.Evaluated = len(x.Nodes)
	}
	return nil
}
