package probe

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/cri"
)

// maxTries is how often an attempt is made again that could not be made at all.
const maxTries = 3

// maxOutput bounds what a probe's answer contributes to an event.
const maxOutput = 10 << 10

// runningProbe is one probe of one container instance.
type runningProbe struct {
	kind      kind
	probe     *v1.Probe
	pod       *v1.Pod
	ips       []string
	target    Instance
	onSuccess func()
	cancel    context.CancelFunc
}

// run makes attempts, one a period, until the context ends or the result is
// final: a startup probe ends when it succeeds, and it or a liveness probe ends
// when it fails, because the container is then stopped.
func (r *runningProbe) run(ctx context.Context, p *Prober, set func(Result)) {
	delay := time.Until(r.target.StartedAt.Add(seconds(r.probe.InitialDelaySeconds, 0)))
	timer := time.NewTimer(delay)
	defer timer.Stop()
	period := seconds(r.probe.PeriodSeconds, 10)
	last, streak := Unknown, int32(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		result := r.attempt(ctx, p)
		if ctx.Err() != nil {
			return
		}
		if result == last {
			streak++
		} else {
			last, streak = result, 1
		}
		if streak >= r.threshold(result) {
			set(result)
			if result == Success && r.kind == startup {
				r.onSuccess()
				return
			}
			if result == Failure && r.kind != readiness {
				return
			}
		}
		timer.Reset(max(period-time.Since(began), 0))
	}
}

func (r *runningProbe) threshold(result Result) int32 {
	if result == Failure {
		return max(r.probe.FailureThreshold, 1)
	}
	return max(r.probe.SuccessThreshold, 1)
}

// attempt makes one attempt and tells users when it fails.
func (r *runningProbe) attempt(ctx context.Context, p *Prober) Result {
	var (
		result Result
		output string
		warn   bool
		err    error
	)
	for range maxTries {
		if result, output, warn, err = r.once(ctx, p); err == nil || ctx.Err() != nil {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		p.event(r, "Unhealthy", fmt.Sprintf("%s probe errored and resulted in %s state: %s", r.kind, "unknown", err))
		return Failure
	case result == Failure:
		p.event(r, "Unhealthy", fmt.Sprintf("%s probe failed: %s", r.kind, output))
	case warn:
		p.event(r, "ProbeWarning", fmt.Sprintf("%s probe warning: %s", r.kind, output))
	}
	return result
}

func (r *runningProbe) once(ctx context.Context, p *Prober) (result Result, output string, warn bool, err error) {
	timeout := seconds(r.probe.TimeoutSeconds, 1)
	switch h := r.probe.ProbeHandler; {
	case h.Exec != nil:
		result, output, err = execute(ctx, p.exec, r.target.ID, h.Exec.Command, timeout)
	case h.HTTPGet != nil:
		return p.http.do(ctx, h.HTTPGet, r.target.Container, first(r.ips), timeout)
	case h.TCPSocket != nil:
		result, output, err = tcp(ctx, h.TCPSocket, r.target.Container, first(r.ips), timeout)
	case h.GRPC != nil:
		result, output, err = healthCheck(ctx, h.GRPC, first(r.ips), timeout)
	default:
		err = fmt.Errorf("missing probe handler for %s:%s", r.pod.Name, r.target.Container.Name)
	}
	return result, output, false, err
}

func first(ips []string) string {
	if len(ips) == 0 {
		return ""
	}
	return ips[0]
}

func seconds(n, otherwise int32) time.Duration {
	if n <= 0 {
		n = otherwise
	}
	return time.Duration(n) * time.Second
}

func (p *Prober) event(r *runningProbe, reason, message string) {
	p.recorder.Event(cri.Reference(r.pod, r.target.Container.Name), v1.EventTypeWarning, reason, message)
}
