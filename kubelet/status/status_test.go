package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/probe"
)

func twoContainers(policy v1.RestartPolicy) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u", Generation: 3},
		Spec:       v1.PodSpec{RestartPolicy: policy, Containers: []v1.Container{{Name: "a", Image: "i"}, {Name: "b", Image: "i"}}},
	}
}

func instance(name string, state cri.State, code int32) *cri.Container {
	return &cri.Container{ID: "id-" + name, Name: name, SandboxID: "s", State: state, ExitCode: code}
}

func TestPhases(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy  v1.RestartPolicy
		a, b    *cri.Container
		stopped bool
		want    v1.PodPhase
	}{
		"nothing yet":             {v1.RestartPolicyAlways, nil, nil, false, v1.PodPending},
		"one of two":              {v1.RestartPolicyAlways, instance("a", cri.Running, 0), nil, false, v1.PodPending},
		"both run":                {v1.RestartPolicyAlways, instance("a", cri.Running, 0), instance("b", cri.Running, 0), false, v1.PodRunning},
		"one restarts":            {v1.RestartPolicyAlways, instance("a", cri.Running, 0), instance("b", cri.Exited, 1), false, v1.PodRunning},
		"both restart":            {v1.RestartPolicyAlways, instance("a", cri.Exited, 0), instance("b", cri.Exited, 1), false, v1.PodRunning},
		"one is done":             {v1.RestartPolicyNever, instance("a", cri.Exited, 0), instance("b", cri.Running, 0), false, v1.PodRunning},
		"both are done":           {v1.RestartPolicyNever, instance("a", cri.Exited, 0), instance("b", cri.Exited, 0), false, v1.PodSucceeded},
		"one failed":              {v1.RestartPolicyNever, instance("a", cri.Exited, 0), instance("b", cri.Exited, 2), false, v1.PodFailed},
		"one failed, on failure":  {v1.RestartPolicyOnFailure, instance("a", cri.Exited, 0), instance("b", cri.Exited, 2), false, v1.PodRunning},
		"stopped before it ran":   {v1.RestartPolicyAlways, nil, nil, true, v1.PodFailed},
		"stopped, both with 0":    {v1.RestartPolicyAlways, instance("a", cri.Exited, 0), instance("b", cri.Exited, 0), true, v1.PodSucceeded},
		"stopped, one was killed": {v1.RestartPolicyAlways, instance("a", cri.Exited, 0), instance("b", cri.Exited, 137), true, v1.PodFailed},
	} {
		rt := &cri.Pod{Sandboxes: []*cri.Sandbox{{ID: "s", Ready: true, IPs: []string{"10.0.0.1"}}}}
		for _, c := range []*cri.Container{test.a, test.b} {
			if c != nil {
				rt.Containers = append(rt.Containers, c)
			}
		}
		s := Compute(Input{Pod: twoContainers(test.policy), Runtime: rt, RuntimeName: "x", Old: &v1.PodStatus{}, Stopped: test.stopped, Now: metav1.Now()})
		if s.Phase != test.want {
			t.Errorf("%s: %s, want %s", name, s.Phase, test.want)
		}
	}
}

// A Job would count a Pod as done while its sidecar still sends what it has left to send.
func TestAPodIsNotOverWhileASidecarRuns(t *testing.T) {
	t.Parallel()
	pod := twoContainers(v1.RestartPolicyNever)
	pod.Spec.InitContainers = []v1.Container{{Name: "proxy", Image: "i", RestartPolicy: ptr.To(v1.ContainerRestartPolicyAlways)}}
	phaseWith := func(sidecar *cri.Container) v1.PodPhase {
		rt := &cri.Pod{
			Sandboxes:  []*cri.Sandbox{{ID: "s", Ready: true}},
			Containers: []*cri.Container{sidecar, instance("a", cri.Exited, 0), instance("b", cri.Exited, 0)},
		}
		return Compute(Input{Pod: pod, Runtime: rt, RuntimeName: "x", Old: &v1.PodStatus{}, Now: metav1.Now()}).Phase
	}
	if got := phaseWith(instance("proxy", cri.Running, 0)); got != v1.PodRunning {
		t.Errorf("%s while the sidecar runs", got)
	}
	if got := phaseWith(instance("proxy", cri.Exited, 143)); got != v1.PodSucceeded {
		t.Errorf("%s after the sidecar ended", got)
	}
}

func TestReadinessNeedsProbesAndGates(t *testing.T) {
	t.Parallel()
	pod := twoContainers(v1.RestartPolicyAlways)
	pod.Spec.Containers[1].ReadinessProbe = &v1.Probe{}
	pod.Spec.ReadinessGates = []v1.PodReadinessGate{{ConditionType: "example.org/gate"}}
	rt := &cri.Pod{
		Sandboxes:  []*cri.Sandbox{{ID: "s", Ready: true, IPs: []string{"10.0.0.1"}}},
		Containers: []*cri.Container{instance("a", cri.Running, 0), instance("b", cri.Running, 0)},
	}
	in := Input{Pod: pod, Runtime: rt, Old: &v1.PodStatus{}, Now: metav1.Now()}
	ready := func() string {
		s := Compute(in)
		c := find(s.Conditions, v1.PodReady)
		return fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message)
	}
	if got := ready(); got != "False ContainersNotReady containers with unready status: [b]" {
		t.Error(got)
	}
	in.Verdicts = map[string]probe.Verdict{"id-b": {Readiness: probe.Success}}
	if got := ready(); got != `False ReadinessGatesNotReady corresponding condition of pod readiness gate "example.org/gate" does not exist.` {
		t.Error(got)
	}
	pod.Status.Conditions = []v1.PodCondition{{Type: "example.org/gate", Status: v1.ConditionTrue}}
	if got := ready(); got != "True  " {
		t.Error(got)
	}
	if c := find(Compute(in).Conditions, "example.org/gate"); c == nil {
		t.Error("someone else's condition is lost")
	}
}

// A container waits for the same reason before the runtime knows it and between its creation and its start.
// conformance: init-container-fails-stops-app-restartalways-pod
func TestAContainerWaitsForOneReason(t *testing.T) {
	t.Parallel()
	pod := twoContainers(v1.RestartPolicyAlways)
	pod.Spec.InitContainers = []v1.Container{{Name: "i1", Image: "i"}, {Name: "i2", Image: "i"}}
	rt := &cri.Pod{Sandboxes: []*cri.Sandbox{{ID: "s", Ready: true, IPs: []string{"10.0.0.1"}}}, Containers: []*cri.Container{instance("i1", cri.Created, 0)}}
	s := Compute(Input{Pod: pod, Runtime: rt, RuntimeName: "x", Old: &v1.PodStatus{}, Now: metav1.Now()})
	for _, c := range append(s.InitContainerStatuses, s.ContainerStatuses...) {
		if c.State.Waiting == nil || c.State.Waiting.Reason != "PodInitializing" {
			t.Errorf("%s: %+v", c.Name, c.State)
		}
	}
}

func TestALostContainerIsToldOf(t *testing.T) {
	t.Parallel()
	pod := twoContainers(v1.RestartPolicyAlways)
	old := &v1.PodStatus{ContainerStatuses: []v1.ContainerStatus{{Name: "a", ContainerID: "x://1", RestartCount: 2, State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}}}}
	s := Compute(Input{Pod: pod, Runtime: &cri.Pod{}, Old: old, Now: metav1.Now()})
	a := s.ContainerStatuses[0]
	if a.RestartCount != 3 || a.LastTerminationState.Terminated == nil || a.LastTerminationState.Terminated.ExitCode != 137 || a.State.Waiting == nil {
		t.Errorf("%+v", a)
	}
}

// TestTheNewestStatusGetsThere sets statuses faster than they can be written, with
// an API that fails now and then.
// The scheduler announces that it preempts a Pod while the node writes a status that was made without knowing.
func TestADisruptionThatOthersAnnounceStays(t *testing.T) {
	t.Parallel()
	disruption := func(reason string) v1.PodCondition {
		return v1.PodCondition{Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: reason}
	}
	api := &v1.PodStatus{Phase: v1.PodRunning, Conditions: []v1.PodCondition{disruption(v1.PodReasonPreemptionByScheduler)}}
	patch, err := patchOf("u", api, &v1.PodStatus{Phase: v1.PodSucceeded})
	if err != nil || string(patch) != `{"metadata":{"uid":"u"},"status":{"phase":"Succeeded"}}` {
		t.Errorf("%s, %v", patch, err)
	}
	patch, err = patchOf("u", api, &v1.PodStatus{Phase: v1.PodFailed, Conditions: []v1.PodCondition{disruption(v1.PodReasonTerminationByKubelet)}})
	if err != nil || !strings.Contains(string(patch), v1.PodReasonTerminationByKubelet) {
		t.Errorf("%s, %v; the node's own announcement has to get there", patch, err)
	}
}

func TestTheNewestStatusGetsThere(t *testing.T) {
	t.Parallel()
	pod := twoContainers(v1.RestartPolicyAlways)
	api := fake.NewClientset(pod.DeepCopy())
	var mu sync.Mutex
	patches := 0
	all := make(chan struct{}) // closed when all statuses are set
	api.PrependReactor("patch", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		if patches++; patches == 1 {
			<-all
			return true, nil, errors.New("not now")
		}
		var body struct{ Metadata struct{ UID string } }
		if err := json.Unmarshal(action.(clienttesting.PatchAction).GetPatch(), &body); err != nil || body.Metadata.UID != "u" {
			t.Errorf("the patch is not bound to the pod: %v", err)
		}
		return false, nil, nil
	})
	w := NewWriter(api, "n", nil, func(types.UID) *v1.Pod { return pod })
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	for i := range 50 {
		w.Set(ctx, pod, &v1.PodStatus{Message: fmt.Sprint(i)})
	}
	close(all)
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, err := api.CoreV1().Pods("ns").Get(ctx, "p", metav1.GetOptions{})
		if err == nil && got.Status.Message == "49" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the API has %+v, %v", got.Status, err)
		}
		time.Sleep(time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	if patches > 3 {
		t.Errorf("%d requests for 50 statuses: they were not written together", patches)
	}
}

func BenchmarkCompute(b *testing.B) {
	pod := twoContainers(v1.RestartPolicyAlways)
	rt := &cri.Pod{
		Sandboxes:  []*cri.Sandbox{{ID: "s", Ready: true, IPs: []string{"10.0.0.1"}}},
		Containers: []*cri.Container{instance("a", cri.Running, 0), instance("b", cri.Running, 0)},
	}
	in := Input{Pod: pod, Runtime: rt, Old: &v1.PodStatus{}, HostIPs: []string{"10.1.1.1"}, Now: metav1.Now()}
	b.ReportAllocs()
	for b.Loop() {
		Compute(in)
	}
}
