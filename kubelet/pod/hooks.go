package pod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/probe"
)

// hookAgent tells servers that a lifecycle hook asks.
const hookAgent = "kube-lifecycle/1.36"

// hook runs one lifecycle handler of a container to its end.
func (w *Worker) hook(ctx context.Context, pod *v1.Pod, c *v1.Container, id string, h *v1.LifecycleHandler) error {
	switch {
	case h.Exec != nil:
		resp, err := w.host.Runtime.ExecSync(ctx, id, h.Exec.Command, 0)
		if err != nil {
			return fmt.Errorf("Exec lifecycle hook (%v) for Container %q in Pod %q failed - error: %w", h.Exec.Command, c.Name, identity(pod), err)
		}
		if resp.GetExitCode() != 0 {
			return fmt.Errorf("Exec lifecycle hook (%v) for Container %q in Pod %q failed - error: command '%v' exited with %d: %s, message: %q",
				h.Exec.Command, c.Name, identity(pod), h.Exec.Command, resp.GetExitCode(), resp.GetStderr(), resp.GetStdout())
		}
		return nil
	case h.HTTPGet != nil:
		return w.httpHook(ctx, pod, c, h.HTTPGet)
	case h.Sleep != nil:
		timer := time.NewTimer(time.Duration(h.Sleep.Seconds) * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("container terminated before sleep hook finished")
		}
	}
	return errors.New("invalid handler: no action")
}

func (w *Worker) httpHook(ctx context.Context, pod *v1.Pod, c *v1.Container, action *v1.HTTPGetAction) error {
	ip := ""
	if ips := w.View().addresses(); len(ips) > 0 {
		ip = ips[0]
	}
	request, err := probe.NewRequest(ctx, action, c, ip)
	if err != nil {
		return err
	}
	if request.Header.Get("User-Agent") == probe.UserAgent {
		request.Header.Set("User-Agent", hookAgent)
	}
	transport := &http.Transport{TLSClientConfig: probe.Unverified(), DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("HTTP lifecycle hook (%s) for Container %q in Pod %q failed - error: %w", action.Path, c.Name, identity(pod), err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 10<<10))
	return err
}

// addresses of the pod, as its status has them.
func (v View) addresses() []string {
	if v.Status == nil {
		return nil
	}
	out := make([]string, len(v.Status.PodIPs))
	for i, ip := range v.Status.PodIPs {
		out[i] = ip.IP
	}
	return out
}

// postStart runs the container's postStart hook; if it fails, the container is
// stopped.
func (w *Worker) postStart(ctx context.Context, o *order, id string) error {
	c := o.container
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil {
		return nil
	}
	err := w.hook(ctx, o.pod, c, id, c.Lifecycle.PostStart)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	w.host.event(o.pod, c.Name, v1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
	view := w.View().Runtime
	stopErr := w.stopContainers(w.ctx, o.pod, view, []Kill{{Name: c.Name, ID: id, Message: "FailedPostStartHook"}}, graceOf(o.pod, nil))
	if stopErr != nil {
		err = errors.Join(err, stopErr)
	}
	return &startError{reasonPostStart, err}
}
