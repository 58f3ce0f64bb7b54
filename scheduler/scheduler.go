// Package scheduler is kube-scheduler: it gives each pod without a node the best one that is feasible.
//
// One goroutine owns all state. What happens elsewhere (informers, finished bindings) comes to it as letters in a mailbox; it takes
// them over into the Snapshot and the queue, pops a pod, decides, assumes that the decision holds, and hands the binding to others. So the
// decision itself is a pure function that never waits, and many bindings are on their way while the next pods are decided.
//
//	informers ──▶ mailbox ──▶ apply ──▶ Snapshot, queue ──▶ decide ──▶ assume ──▶ bind (many at a time)
//	                 ▲                                                               │
//	                 └───────────────────────── how it went ◀────────────────────────┘
package scheduler

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/reconcile"
	"github.com/septet-io/septet/scheduler/config"
	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins"
	"github.com/septet-io/septet/scheduler/plugins/defaultpreemption"
	"github.com/septet-io/septet/scheduler/profile"
	"github.com/septet-io/septet/scheduler/queue"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// server is what outlives a lost lease.
type server struct {
	Config
	component *schedulerv1.KubeSchedulerConfiguration
	metrics   *metrics
	recorder  *recorder
	why       *archive
	informers map[kind]cache.SharedIndexInformer
	terms     uint64
}

// scheduler is one term of leading: its Snapshot and queue are made anew from the informers.
type scheduler struct {
	*server
	snapshot *snapshot.Snapshot
	queue    *queue.Queue
	decider  *decide.Decider
	profiles map[string]*profile.Profile
	outside  []decide.Extender
	box      *mailbox
	binders  *pool
	writers  *pool
	waiting  map[types.UID]*waitingPod
	leaving  map[types.UID][]func() // by victim that is deleted: who waits for it to be gone
	now      func() time.Time
	cleanups []func()
	attempts uint64
	term     uint64        // counts the times that this process has led
	over     chan struct{} // closed when the term has ended
	// preemption is what the decision that is being made has considered to make room.
	preemption *Preemption
}

// lastMounted is the last pattern that Config.Mount is called with.
const lastMounted = "/debug/why"

// Run schedules until ctx ends. With leader election it does so only while it holds the lease, and stands again when it has lost it.
// An error means that the configuration does not work.
func Run(ctx context.Context, c Config) error {
	s, err := newServer(c)
	if err != nil {
		return err
	}
	if c.Mount != nil {
		c.Mount("/debug/why/", s.why)
		c.Mount(lastMounted, s.why)
	}
	election := &s.component.LeaderElection
	if !s.component.DelayCacheUntilActive || !*election.LeaderElect {
		s.watch(ctx)
	}
	if !*election.LeaderElect {
		if c.Leading != nil {
			c.Leading(true)
			defer c.Leading(false)
		}
		return s.lead(ctx)
	}
	var failure error
	term, cancel := context.WithCancel(ctx)
	defer cancel()
	err = reconcile.Lead(term, reconcile.Election{
		Client: c.Client, Namespace: election.ResourceNamespace, Name: election.ResourceName, Identity: s.identity(),
		LeaseDuration: election.LeaseDuration.Duration, RenewDeadline: election.RenewDeadline.Duration,
		RetryPeriod: election.RetryPeriod.Duration, Leading: c.Leading,
	}, func(ctx context.Context) {
		s.watch(term)
		if failure = s.lead(ctx); failure != nil {
			cancel()
		}
	})
	if failure != nil {
		return failure
	}
	return err
}

func newServer(c Config) (*server, error) {
	if c.Client == nil {
		return nil, fmt.Errorf("the scheduler needs a client")
	}
	s := &server{Config: c, component: c.Component}
	if s.component == nil {
		s.component = config.Default()
	}
	if s.MaxUnschedulable == 0 {
		s.MaxUnschedulable = 5 * time.Minute
	}
	if s.BindConcurrency == 0 {
		s.BindConcurrency = 256
	}
	if _, err := s.build(&plugin.Env{Client: c.Client}); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(c.Metrics)
	s.recorder = newRecorder(c.Client)
	s.why = newArchive()
	s.informers = watched(c.Client.Informers)
	return s, nil
}

func (s *server) build(env *plugin.Env) (map[string]*profile.Profile, error) {
	env.IgnoredResources = map[string]bool{}
	for i := range s.component.Extenders {
		for _, r := range s.component.Extenders[i].ManagedResources {
			if r.IgnoredByScheduler {
				env.IgnoredResources[r.Name] = true
			}
		}
	}
	return profile.Build(s.component, append(plugins.All(), s.Plugins...), env)
}

func (s *server) identity() string {
	if s.Identity != "" {
		return s.Identity
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "_" + uuid.NewString()
}

// watch starts the informers; those that run already go on.
func (s *server) watch(ctx context.Context) {
	s.Client.Informers.Policy().V1().PodDisruptionBudgets().Informer()
	s.Client.Informers.Start(ctx.Done())
}

// lead schedules until ctx ends.
func (s *server) lead(ctx context.Context) error {
	t := &scheduler{
		server: s, snapshot: snapshot.New(), box: newMailbox(), now: time.Now, waiting: map[types.UID]*waitingPod{}, leaving: map[types.UID][]func(){},
		binders: &pool{limit: s.BindConcurrency}, writers: &pool{limit: 64}, over: make(chan struct{}),
	}
	s.terms++
	t.term = s.terms
	t.decider = decide.New(t.snapshot)
	var err error
	if t.profiles, err = s.build(t.env(ctx)); err != nil {
		return err
	}
	for _, p := range t.profiles {
		for _, f := range p.PostFilter {
			if d, ok := f.(*defaultpreemption.Plugin); ok {
				d.Explain(t.considered)
			}
		}
	}
	if t.outside, err = t.extenders(); err != nil {
		return err
	}
	defer func() {
		for _, f := range t.cleanups {
			f()
		}
	}()
	t.queue = t.newQueue()
	stop, err := t.follow(ctx)
	if err != nil {
		return nil // ctx ended first
	}
	s.why.attach(t)
	t.loop(ctx)
	s.why.detach(t)
	close(t.over)
	stop()
	t.cancelAll()
	t.binders.wait()
	t.writers.wait()
	return nil
}

func (s *scheduler) env(ctx context.Context) *plugin.Env {
	budgets := s.Client.Informers.Policy().V1().PodDisruptionBudgets().Lister()
	return &plugin.Env{
		Client: s.Client, Bind: s.Client.Bind, Informers: s.Client.Informers,
		Budgets: func(namespace string) []*policyv1.PodDisruptionBudget {
			list, err := budgets.PodDisruptionBudgets(namespace).List(labels.Everything())
			if err != nil {
				return nil // the lister reads memory only
			}
			return list
		},
		Evict: func(preemptor *corev1.Pod, node, profile string, victims plugin.Victims, done func(failed bool)) {
			s.evict(ctx, preemptor, node, profile, victims, done)
		},
		Record: func(pod *corev1.Pod, eventType, reason, action, note string) {
			s.recorder.record(ctx, pod, pod.Spec.SchedulerName, eventType, reason, action, note)
		},
		Answer: s.answer, Cleanup: func(f func()) { s.cleanups = append(s.cleanups, f) },
		Do: func(f func()) { s.box.post(letter{kind: doKind, do: f}) },
	}
}

func (s *scheduler) newQueue() *queue.Queue {
	c := s.component
	names := make([]string, 0, len(s.profiles))
	var less func(a, b plugin.Queued) bool
	for name, p := range s.profiles {
		names = append(names, name)
		less = p.QueueSort.Less
	}
	slices.Sort(names)
	return queue.New(queue.Config{
		Initial: time.Duration(*c.PodInitialBackoffSeconds) * time.Second, Max: time.Duration(*c.PodMaxBackoffSeconds) * time.Second,
		MaxUnschedulable: s.MaxUnschedulable, Less: less, Profiles: names, Moved: s.metrics.moved, Waits: s.metrics.refusal,
		PreEnqueue: func(name string, pod *corev1.Pod) *plugin.Status {
			for _, p := range s.profiles[name].PreEnqueue {
				if status := p.PreEnqueue(pod); !status.OK() {
					status.Plugin = p.Name()
					return status
				}
			}
			return nil
		},
		Hints: func(name, by string) ([]plugin.EventHint, bool) {
			hints, ok := s.profiles[name].Events[by]
			return hints, ok
		},
	})
}

// loop is the life of the deciding goroutine.
func (s *scheduler) loop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		letters := s.box.take()
		for i := range letters {
			s.apply(&letters[i])
			letters[i] = letter{}
		}
		if e := s.queue.Pop(s.now()); e != nil {
			s.schedule(ctx, e)
			continue
		}
		if len(letters) > 0 {
			continue // there may be more
		}
		s.metrics.waiting(s.queue)
		wait := time.Hour
		if at, ok := s.queue.Wake(); ok {
			wait = max(at.Sub(s.now()), 0)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-s.box.bell:
		case <-timer.C:
		}
	}
}
