package scheduler

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins"
)

// tour is a plugin at every extension point that notes where it was.
type tour struct {
	env *plugin.Env
	mu  sync.Mutex
	log []string
	// waits are pods that Permit made wait.
	waits []types.UID
}

func (p *tour) note(point string, pod *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, pod.Name+" "+point)
}

func (p *tour) seen(pod string) (points []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.log {
		if name, point, _ := strings.Cut(line, " "); name == pod {
			points = append(points, point)
		}
	}
	return points
}

func (p *tour) Name() string { return "Tour" }

func (p *tour) PreEnqueue(pod *corev1.Pod) *plugin.Status { p.note("PreEnqueue", pod); return nil }

func (p *tour) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	p.note("PreFilter", c.Pod.Object)
	return nil, nil
}

func (p *tour) Filter(c *plugin.Cycle, row int32) *plugin.Status {
	if c.Snapshot.NameOf(row) == "shunned" {
		return plugin.Reject(plugin.Unschedulable, "the tour does not go there")
	}
	return nil
}

func (p *tour) PostFilter(_ context.Context, c *plugin.Cycle, _ *plugin.Failure) (int32, *plugin.Status) {
	p.note("PostFilter", c.Pod.Object)
	return -1, plugin.Reject(plugin.Unresolvable, "the tour cannot help")
}

func (p *tour) PreScore(c *plugin.Cycle, _ []int32) *plugin.Status {
	p.note("PreScore", c.Pod.Object)
	return nil
}

func (p *tour) Score(c *plugin.Cycle, row int32) (int64, *plugin.Status) {
	return int64(len(c.Snapshot.NameOf(row))), nil // the longest name wins
}

func (p *tour) Normalize(c *plugin.Cycle, _ []int32, scores []int64) *plugin.Status {
	p.note("Normalize", c.Pod.Object)
	high := slices.Max(scores)
	for i := range scores {
		scores[i] = scores[i] * plugin.MaxScore / high
	}
	return nil
}

func (p *tour) Reserve(c *plugin.Cycle, _ int32) *plugin.Status {
	p.note("Reserve", c.Pod.Object)
	return nil
}
func (p *tour) Unreserve(c *plugin.Cycle, _ int32) { p.note("Unreserve", c.Pod.Object) }

func (p *tour) Permit(_ context.Context, c *plugin.Cycle, _ string) (*plugin.Status, time.Duration) {
	p.note("Permit", c.Pod.Object)
	if c.Pod.Object.Labels["wait"] == "" {
		return nil, 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits = append(p.waits, c.Pod.Object.UID)
	return plugin.Reject(plugin.Wait), time.Minute
}

func (p *tour) PreBind(_ context.Context, c *plugin.Cycle, _ string) *plugin.Status {
	p.note("PreBind", c.Pod.Object)
	return nil
}

func (p *tour) Bind(_ context.Context, c *plugin.Cycle, _ string) *plugin.Status {
	p.note("Bind", c.Pod.Object)
	return plugin.SkipStatus
}
func (p *tour) PostBind(_ context.Context, c *plugin.Cycle, _ string) {
	p.note("PostBind", c.Pod.Object)
}

// withTour makes a second profile, "touring", whose pods go through the tour at every point.
func withTour(p *tour) func(*Config) {
	return func(c *Config) {
		c.Plugins = []plugins.Entry{{Name: "Tour", Optional: true, New: func(_ any, env *plugin.Env) (plugin.Plugin, error) {
			p.env = env
			return p, nil
		}}}
		c.Component.Profiles = append(c.Component.Profiles, schedulerv1.KubeSchedulerProfile{
			SchedulerName: ptr.To("touring"),
			Plugins: &schedulerv1.Plugins{
				MultiPoint: schedulerv1.PluginSet{Enabled: []schedulerv1.Plugin{{Name: "Tour", Weight: ptr.To[int32](100)}}},
				Bind:       schedulerv1.PluginSet{Disabled: []schedulerv1.Plugin{{Name: "*"}}, Enabled: []schedulerv1.Plugin{{Name: "Tour"}, {Name: "DefaultBinder"}}},
			},
		})
	}
}

func touring(p *corev1.Pod) { p.Spec.SchedulerName = "touring" }

// A pod of a profile with a plugin of our own passes all its extension points in order, waits where it is told to, and pods of the
// default profile do not meet it.
func TestExtensionPoints(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("a", "4", "8Gi"), node("long-name", "4", "8Gi"), node("shunned", "64", "64Gi"))
	p := &tour{}
	c.start(withTour(p))
	c.add(pod("visitor", "1", "", touring), pod("stranger", "8", ""))
	if got := c.nodeOf("visitor"); got != "long-name" {
		t.Errorf("visitor is on %s", got)
	}
	c.until("the tour ends", func() bool { return slices.Contains(p.seen("visitor"), "PostBind") })
	want := []string{"PreEnqueue", "PreFilter", "PreScore", "Normalize", "Reserve", "Permit", "PreBind", "Bind", "PostBind"}
	if got := p.seen("visitor"); !slices.Equal(got, want) {
		t.Errorf("points %v, want %v", got, want)
	}
	if got := c.nodeOf("stranger"); got != "shunned" || len(p.seen("stranger")) != 0 {
		t.Errorf("stranger is on %s and saw %v", got, p.seen("stranger"))
	}
	c.add(pod("patient", "1", "", touring, podLabel("wait", "yes")))
	c.until("patient waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.waits) == 1 })
	c.add(pod("second", "1", "", touring))
	c.nodeOf("second") // others go on meanwhile
	if c.pod("patient").Spec.NodeName != "" {
		t.Error("patient did not wait")
	}
	p.env.Answer("uid-patient", "Tour", nil)
	c.nodeOf("patient")
	c.add(pod("unlucky", "1", "", touring, podLabel("wait", "yes")))
	c.until("unlucky waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.waits) == 2 })
	p.env.Answer("uid-unlucky", "Tour", plugin.Reject(plugin.Unschedulable, "not today"))
	if got, want := c.refusal("unlucky"), "0/3 nodes are available: 1 not today."; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	c.until("unlucky gave back what it had", func() bool { return slices.Contains(p.seen("unlucky"), "Unreserve") })
	c.add(pod("huge", "100", "", touring))
	want2 := "0/3 nodes are available: 3 Insufficient cpu. the tour cannot help"
	if got := c.refusal("huge"); !strings.Contains(got, "3 Insufficient cpu.") || !strings.Contains(got, "the tour cannot help") {
		t.Errorf("message %q, want about %q", got, want2)
	}
}

// A pod with scheduling gates is not tried until the last is gone.
func TestGates(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("a", "4", "8Gi"))
	c.start()
	c.add(pod("gated", "1", "", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/hold"}} }), pod("free", "1", ""))
	c.nodeOf("free")
	gated := c.pod("gated")
	if gated.Spec.NodeName != "" || len(gated.Status.Conditions) != 0 {
		t.Errorf("gated pod was touched: %+v", gated.Status)
	}
	gated = gated.DeepCopy()
	gated.Spec.SchedulingGates = nil
	if _, err := c.CoreV1().Pods("default").Update(context.Background(), gated, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.nodeOf("gated")
}
