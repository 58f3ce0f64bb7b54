package probe

import (
	"context"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/spec"
)

// kind of a probe, as events name it.
type kind string

const (
	startup   kind = "Startup"
	liveness  kind = "Liveness"
	readiness kind = "Readiness"
)

// Instance is one running container instance whose probes are to run.
type Instance struct {
	Container *v1.Container
	ID        string
	StartedAt time.Time
	// Started and Ready are what is known of an instance from before the kubelet
	// started: its probes go on from there.
	Started, Ready bool
}

// Prober runs the probes of all pods on the node, each in a goroutine of its own
// that lives as long as its container instance runs.
type Prober struct {
	exec     cri.Streams
	recorder record.EventRecorder
	// changed is told when a result of the pod changed.
	changed func(types.UID)
	http    *httpProbe

	mu sync.Mutex
	// pods by uid.
	pods map[types.UID]*podProbes
}

type podProbes struct {
	// instances by container id.
	instances map[string]*instance
}

// instance holds the probes of one container instance; guarded by the Prober's lock.
type instance struct {
	verdict Verdict
	probes  []*runningProbe
}

// New returns a Prober. changed must not block.
func New(exec cri.Streams, recorder record.EventRecorder, changed func(types.UID)) *Prober {
	return &Prober{exec: exec, recorder: recorder, changed: changed, http: newHTTPProbe(), pods: map[types.UID]*podProbes{}}
}

// Sync makes the probes of exactly the given instances of the pod run; ips are
// the pod's addresses. It is cheap when nothing changed.
func (p *Prober) Sync(ctx context.Context, pod *v1.Pod, ips []string, running []Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pp := p.pods[pod.UID]
	if pp == nil {
		if len(running) == 0 {
			return
		}
		pp = &podProbes{instances: map[string]*instance{}}
		p.pods[pod.UID] = pp
	}
	keep := make(map[string]bool, len(running))
	for _, r := range running {
		keep[r.ID] = true
		if pp.instances[r.ID] == nil {
			pp.instances[r.ID] = p.begin(ctx, pod, ips, r)
		}
	}
	for id, i := range pp.instances {
		if !keep[id] {
			i.stop("")
			delete(pp.instances, id)
		}
	}
	if len(pp.instances) == 0 {
		delete(p.pods, pod.UID)
	}
}

// Verdicts returns the results of the pod's probes by container id.
func (p *Prober) Verdicts(uid types.UID) map[string]Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	pp := p.pods[uid]
	if pp == nil {
		return nil
	}
	out := make(map[string]Verdict, len(pp.instances))
	for id, i := range pp.instances {
		out[id] = i.verdict
	}
	return out
}

// Terminating ends the pod's startup and liveness probes: it is being stopped
// anyway. Whether it is ready still matters.
func (p *Prober) Terminating(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pp := p.pods[uid]; pp != nil {
		for _, i := range pp.instances {
			i.stop(readiness)
		}
	}
}

// Stop ends all probes of the pod.
func (p *Prober) Stop(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pp := p.pods[uid]; pp != nil {
		for _, i := range pp.instances {
			i.stop("")
		}
		delete(p.pods, uid)
	}
}

// stop ends all probes but that of one kind.
func (i *instance) stop(but kind) {
	for _, r := range i.probes {
		if r.kind != but {
			r.cancel()
		}
	}
}

// begin starts the probes of an instance. The lock is held.
func (p *Prober) begin(ctx context.Context, pod *v1.Pod, ips []string, r Instance) *instance {
	i := &instance{}
	c := r.Container
	if _, k := spec.Find(pod, c.Name); k == spec.Init && !spec.Sidecar(c) {
		return i
	}
	if r.Ready && c.ReadinessProbe != nil {
		i.verdict.Readiness = Success
	}
	started := make(chan struct{})
	if c.StartupProbe == nil || r.Started {
		if c.StartupProbe != nil {
			i.verdict.Startup = Success
		}
		close(started)
	} else {
		p.add(ctx, i, &runningProbe{kind: startup, probe: c.StartupProbe, pod: pod, ips: ips, target: r, onSuccess: func() { close(started) }}, nil)
	}
	if c.LivenessProbe != nil {
		p.add(ctx, i, &runningProbe{kind: liveness, probe: c.LivenessProbe, pod: pod, ips: ips, target: r}, started)
	}
	if c.ReadinessProbe != nil {
		p.add(ctx, i, &runningProbe{kind: readiness, probe: c.ReadinessProbe, pod: pod, ips: ips, target: r}, started)
	}
	return i
}

func (p *Prober) add(ctx context.Context, i *instance, r *runningProbe, after <-chan struct{}) {
	ctx, r.cancel = context.WithCancel(ctx)
	i.probes = append(i.probes, r)
	go func() {
		defer r.cancel()
		if after != nil {
			select {
			case <-after:
			case <-ctx.Done():
				return
			}
		}
		r.run(ctx, p, func(result Result) { p.set(i, r, result) })
	}()
}

// set records a result and tells of it if it is news.
func (p *Prober) set(i *instance, r *runningProbe, result Result) {
	p.mu.Lock()
	field := map[kind]*Result{startup: &i.verdict.Startup, liveness: &i.verdict.Liveness, readiness: &i.verdict.Readiness}[r.kind]
	news := *field != result
	*field = result
	p.mu.Unlock()
	if news {
		p.changed(r.pod.UID)
	}
}
