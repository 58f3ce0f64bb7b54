package evict

import (
	"context"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
)

// Config of a Watcher. All fields but Recorder and Free are required.
type Config struct {
	Thresholds []Threshold
	// Transition is how long a condition stays after its reason has gone.
	Transition time.Duration
	// MaxSoftGrace bounds the seconds that a pod has to stop when a soft threshold
	// is crossed.
	MaxSoftGrace int64
	// Observe measures the node.
	Observe func(ctx context.Context) (map[Signal]Observation, error)
	// Candidates measures the pods.
	Candidates func(ctx context.Context) []Candidate
	// Free frees disk without ending a pod: unused images and dead containers.
	Free func(ctx context.Context) error
	// Evict ends a pod, within grace seconds.
	Evict func(pod *v1.Pod, reason, message string, grace int64)
	// Changed is told when a condition changed.
	Changed  func()
	Recorder record.EventRecorder
	Node     *v1.ObjectReference
}

// Watcher watches the node's resources.
type Watcher struct {
	config Config

	mu sync.Mutex
	// since is when each condition's reason was last there, by condition.
	since map[v1.NodeConditionType]time.Time
	// first is when each soft threshold was first crossed, by signal.
	first     map[Signal]time.Time
	resolving map[Signal]bool
}

// New returns a Watcher.
func New(config Config) *Watcher {
	return &Watcher{config: config, since: map[v1.NodeConditionType]time.Time{}, first: map[Signal]time.Time{}, resolving: map[Signal]bool{}}
}

// period is how often the node is measured. The kernel has no event for most of
// what is watched; a statfs and a read of /proc cost next to nothing.
const period = 10 * time.Second

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	if len(w.config.Thresholds) == 0 {
		return
	}
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		w.Once(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Once measures and acts: at most one pod is evicted, so that its going shows
// before the next has to.
func (w *Watcher) Once(ctx context.Context, now time.Time) {
	log := klog.FromContext(ctx)
	seen, err := w.config.Observe(ctx)
	if err != nil {
		log.Error(err, "Could not measure what is left on the node")
		return
	}
	crossed := w.take(Judge(w.config.Thresholds, seen, w.resolving), now)
	if len(crossed) == 0 {
		return
	}
	worst := crossed[0]
	w.warn(worst)
	if worst.Condition == v1.NodeDiskPressure && w.config.Free != nil {
		if err := w.config.Free(ctx); err != nil {
			log.Error(err, "Could not free disk space")
		}
		if seen, err = w.config.Observe(ctx); err != nil || len(Judge([]Threshold{worst.Threshold}, seen, w.resolving)) == 0 {
			return
		}
	}
	w.evictOne(ctx, worst)
}

func (w *Watcher) warn(c Crossed) {
	if w.config.Recorder != nil {
		w.config.Recorder.Eventf(w.config.Node, v1.EventTypeWarning, "EvictionThresholdMet", "Attempting to reclaim %s", c.Resource)
	}
}

// take notes what is crossed and returns what is to be acted on: hard thresholds,
// and soft ones that have been crossed for their grace period.
func (w *Watcher) take(crossed []Crossed, now time.Time) []Crossed {
	w.mu.Lock()
	before := w.conditionsLocked(now)
	first := map[Signal]time.Time{}
	w.resolving = map[Signal]bool{}
	var act []Crossed
	for _, c := range crossed {
		w.since[c.Condition] = now
		w.resolving[c.Threshold.Signal] = true
		began, ok := w.first[c.Threshold.Signal]
		if !ok {
			began = now
		}
		first[c.Threshold.Signal] = began
		if c.Threshold.Hard || now.Sub(began) >= c.Threshold.Grace {
			act = append(act, c)
		}
	}
	w.first = first
	after := w.conditionsLocked(now)
	w.mu.Unlock()
	for t, is := range after {
		if before[t] != is {
			w.config.Changed()
			break
		}
	}
	return act
}

func (w *Watcher) evictOne(ctx context.Context, c Crossed) {
	ranked := Rank(w.config.Candidates(ctx), c.Resource)
	if len(ranked) == 0 {
		klog.FromContext(ctx).Info("The node is short of a resource, and there is no pod to evict", "resource", c.Resource)
		return
	}
	grace := int64(0)
	if !c.Threshold.Hard {
		grace = w.config.MaxSoftGrace
	}
	victim := &ranked[0]
	w.config.Evict(victim.Pod, "Evicted", Message(c, victim), grace)
}

// Under returns the conditions that the node is under now.
func (w *Watcher) Under(now time.Time) map[v1.NodeConditionType]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conditionsLocked(now)
}

func (w *Watcher) conditionsLocked(now time.Time) map[v1.NodeConditionType]bool {
	out := map[v1.NodeConditionType]bool{}
	for t, at := range w.since {
		out[t] = now.Sub(at) < w.config.Transition
	}
	return out
}

// words are how each condition is told.
var words = []struct {
	condition             v1.NodeConditionType
	badReason, badMessage string
	okReason, okMessage   string
}{
	{v1.NodeMemoryPressure, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available",
		"KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
	{v1.NodeDiskPressure, "KubeletHasDiskPressure", "kubelet has disk pressure",
		"KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
	{v1.NodePIDPressure, "KubeletHasInsufficientPID", "kubelet has insufficient PID available",
		"KubeletHasSufficientPID", "kubelet has sufficient PID available"},
}

// Conditions returns the node's pressure conditions.
func (w *Watcher) Conditions() []v1.NodeCondition {
	under := w.Under(time.Now())
	out := make([]v1.NodeCondition, 0, len(words))
	for _, word := range words {
		c := v1.NodeCondition{Type: word.condition, Status: v1.ConditionFalse, Reason: word.okReason, Message: word.okMessage}
		if under[word.condition] {
			c.Status, c.Reason, c.Message = v1.ConditionTrue, word.badReason, word.badMessage
		}
		out = append(out, c)
	}
	return out
}
