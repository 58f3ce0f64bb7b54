// Package proxy is kube-proxy: it makes the addresses of Services lead to their endpoints, by rules in this node's kernel. What changes in the API is
// collected (package state), what rules that needs is decided (package plan) and only the difference is put into the kernel (package nft).
package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/klog/v2"

	"github.com/septet-io/septet/proxy/conntrack"
	"github.com/septet-io/septet/proxy/health"
	"github.com/septet-io/septet/proxy/nft"
	"github.com/septet-io/septet/proxy/plan"
	"github.com/septet-io/septet/proxy/state"
)

// component is upstream's name, in the journal and to the API server.
const component = "kube-proxy"

// Backend is where rules go. Applying is idempotent and atomic: after an error nothing has changed. Only Watch's callback comes from elsewhere than the one caller.
type Backend interface {
	// Replace makes the tables of the families anew.
	Replace(map[plan.Family]plan.Ruleset) error
	// Apply changes tables; an error means that they are not as they should be and must be replaced.
	Apply([len(plan.Families)]plan.Change) error
	// Present says whether there is a table for the family.
	Present(plan.Family) bool
	// Watch calls foreign when somebody else has changed the tables.
	Watch(ctx context.Context, foreign func()) (wait func() error, err error)
	Close() error
}

// Run programs the kernel until ctx ends. It leaves the rules in place: connections go on while the proxy is replaced.
func Run(ctx context.Context, config Config) error {
	if config.Settings.Kind == "" || config.Settings.NFTables.MasqueradeBit == nil {
		SetDefaults(&config.Settings)
	}
	settings, err := parse(&config.Settings)
	if err != nil {
		return fmt.Errorf("kube-proxy configuration: %w", err)
	}
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(component))
	if config.Settings.Mode == modeIPTables {
		klog.FromContext(ctx).Info("The rules of the mode iptables are written with nftables")
	}
	if err := conntrack.Apply(settings.conntrack); err != nil {
		klog.FromContext(ctx).V(2).Info("Connection tracking keeps its settings", "err", err)
	}
	backend := config.Backend
	if backend == nil {
		if backend, err = nft.Open(); err != nil {
			return err
		}
		defer backend.Close()
	}
	l := newLoop(config, settings, backend)
	defer l.services.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := l.serve(ctx); err != nil {
		return err
	}
	synced, err := l.follow(ctx)
	if err != nil {
		return err
	}
	select {
	case <-synced:
	case <-ctx.Done():
		return nil
	}
	return l.run(ctx)
}

// loop is the proxy at work. Everything but wake, store and the environment's own lock belongs to run's goroutine.
type loop struct {
	config   Config
	settings settings
	backend  Backend
	wake     chan struct{}
	store    *state.Store
	env      environment
	planner  *plan.Planner
	node     health.Node
	services health.Services
	metrics  metrics
	// whole says that the tables have to be made anew.
	whole   flag
	started bool
	// pending are changes that are planned but not yet in the kernel, owed the UDP flows from before them.
	pending []state.Change
	owed    conntrack.Flows
}

func newLoop(config Config, settings settings, backend Backend) *loop {
	l := &loop{config: config, settings: settings, backend: backend, wake: make(chan struct{}, 1), metrics: newMetrics(config.Metrics)}
	l.store = state.New(settings.node, l.poke)
	l.env.init(settings, l.poke)
	l.services.Node = &l.node
	l.whole.set()
	return l
}

// poke asks for a pass; several before it are one.
func (l *loop) poke() {
	l.node.Queued()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// run makes a pass whenever something has changed.
func (l *loop) run(ctx context.Context) error {
	wait, err := l.watch(ctx)
	if err != nil {
		return err
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		l.keepWatching(ctx, wait)
	}()
	defer func() { <-watched }()
	retry := firstRetry
	for {
		begun := time.Now()
		err := l.pass(ctx)
		pause := l.settings.minSync - time.Since(begun)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Rules could not be brought up to date", "retry", retry)
			l.metrics.failures.Inc()
			l.whole.set()
			l.poke()
			pause, retry = retry, min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// watch asks to be told when somebody else changes the tables.
func (l *loop) watch(ctx context.Context) (wait func() error, err error) {
	return l.backend.Watch(ctx, func() {
		l.whole.set()
		l.poke()
	})
}

// keepWatching begins anew when a watch ends; what happened meanwhile is made good by making everything anew.
func (l *loop) keepWatching(ctx context.Context, wait func() error) {
	for {
		err := wait()
		for ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Changes of rules by others were not seen for a moment")
			select {
			case <-time.After(again):
			case <-ctx.Done():
			}
			if wait, err = l.watch(ctx); err == nil {
				l.whole.set()
				l.poke()
				break
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// pass brings the kernel up to date with everything that has changed until now.
func (l *loop) pass(ctx context.Context) error {
	begun := time.Now()
	if l.planner == nil {
		l.planner = plan.New(l.env.take())
	} else if l.env.changed() {
		if err := l.apply(l.planner.SetEnvironment(l.env.take())); err != nil {
			return err
		}
	}
	changes := l.store.Take()
	l.pending = append(l.pending, changes...)
	l.owe(changes)
	if err := l.apply(l.planner.Update(changes)); err != nil {
		return err
	}
	changes, l.pending = l.pending, nil
	l.forget(ctx, changes)
	l.tell(ctx, changes)
	l.node.Done()
	l.note(changes, begun)
	if !l.started {
		l.started = true
		if l.config.Ready != nil {
			l.config.Ready()
		}
	}
	return nil
}

// apply puts a difference into the kernel, or everything where that is called for.
func (l *loop) apply(difference [len(plan.Families)]plan.Change) error {
	whole := l.whole.take()
	anew := map[plan.Family]plan.Ruleset{}
	for _, family := range plan.Families {
		wanted := nft.Supports(family) && (family == plan.IPv4 || l.planner.Wants(family))
		present := l.backend.Present(family)
		switch {
		case present && whole, wanted && !present:
			anew[family] = l.planner.Ruleset(family)
			difference[family] = plan.Change{}
		case !present:
			difference[family] = plan.Change{}
		}
	}
	if len(anew) > 0 {
		if err := l.backend.Replace(anew); err != nil {
			l.whole.set()
			return err
		}
	}
	return l.backend.Apply(difference)
}

// owe notes the UDP flows of Services before they change.
func (l *loop) owe(changes []state.Change) {
	if l.owed == nil {
		l.owed = conntrack.Flows{}
	}
	for _, change := range changes {
		l.owed.Add(l.planner.Flows(change.Name, state.UDP))
	}
}

// forget makes the kernel forget UDP connections that go where they no longer should.
func (l *loop) forget(ctx context.Context, changes []state.Change) {
	now := conntrack.Flows{}
	for _, change := range changes {
		now.Add(l.planner.Flows(change.Name, state.UDP))
	}
	old := l.owed
	l.owed = nil
	if !conntrack.Stale(old, now) {
		return
	}
	if n, err := conntrack.Clean(old, now); err != nil {
		klog.FromContext(ctx).Error(err, "UDP connections to endpoints that are gone could not be forgotten")
	} else if n > 0 {
		klog.FromContext(ctx).V(4).Info("Forgot UDP connections", "count", n)
	}
}

// tell brings the health check ports up to date.
func (l *loop) tell(ctx context.Context, changes []state.Change) {
	var errs []error
	for _, change := range changes {
		errs = append(errs, l.services.Set(change.Name, localOf(change.Service)))
	}
	if err := errors.Join(errs...); err != nil {
		klog.FromContext(ctx).Error(err, "Health check ports could not be opened")
	}
}

// localOf counts the ready local endpoints of a Service that has a health check port.
func localOf(service *state.Service) health.Local {
	if service == nil || service.HealthCheckPort == 0 || !service.ExternalLocal {
		return health.Local{}
	}
	seen := map[string]bool{}
	for i := range service.Ports {
		for _, endpoint := range service.Ports[i].Endpoints {
			if endpoint.Local && endpoint.Ready {
				seen[endpoint.Addr.Addr().String()] = true
			}
		}
	}
	return health.Local{Port: service.HealthCheckPort, Endpoints: len(seen)}
}
