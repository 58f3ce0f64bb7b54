package kubelet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	criFake "github.com/septet-io/septet/kubelet/cri/fake"
)

func TestARestartedKubeletLeavesContainersAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	b.pod("web", func(p *v1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = &v1.Probe{ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"ready"}}}, PeriodSeconds: 1}
	})
	before := b.until("web", "ready", ready)
	b.stop()
	made := b.runtime.Calls("CreateContainer")
	b.start()
	b.pod("other", nil)
	b.until("other", "ready", ready)
	after := b.until("web", "ready", ready)
	if idOf(before) != idOf(after) || b.runtime.Calls("CreateContainer") != made+1 || b.runtime.Calls("StopContainer") != 0 {
		t.Errorf("the container was touched: %s before, %s after", idOf(before), idOf(after))
	}
	if c := after.Status.Conditions; conditionTime(before, v1.PodReady) != conditionTime(after, v1.PodReady) {
		t.Errorf("readiness flapped: %+v", c)
	}
}

func conditionTime(pod *v1.Pod, t v1.PodConditionType) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == t {
			return c.LastTransitionTime.String()
		}
	}
	return ""
}

// conformance: Container Runtime, Restart Policy, Pod Phases
func TestRestartPoliciesDecideThePhase(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	for _, test := range []struct {
		name, command string
		policy        v1.RestartPolicy
		phase         v1.PodPhase
		restarts      int32
	}{
		{"always-ok", "true", v1.RestartPolicyAlways, v1.PodRunning, 1},
		{"always-bad", "false", v1.RestartPolicyAlways, v1.PodRunning, 1},
		{"failure-ok", "true", v1.RestartPolicyOnFailure, v1.PodSucceeded, 0},
		{"failure-bad", "false", v1.RestartPolicyOnFailure, v1.PodRunning, 1},
		{"never-ok", "true", v1.RestartPolicyNever, v1.PodSucceeded, 0},
		{"never-bad", "exit 3", v1.RestartPolicyNever, v1.PodFailed, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &bench{t: t, api: b.api, runtime: b.runtime, config: b.config}
			b.pod(test.name, func(p *v1.Pod) {
				p.Spec.RestartPolicy, p.Spec.Containers[0].Command = test.policy, []string{"sh", "-c", test.command}
			})
			b.until(test.name, string(test.phase), func(p *v1.Pod) bool {
				return p != nil && p.Status.Phase == test.phase && len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount == test.restarts
			})
		})
	}
	b.until("always-bad", "waiting in its crash loop", func(p *v1.Pod) bool {
		w := p.Status.ContainerStatuses[0].State.Waiting
		return w != nil && w.Reason == "CrashLoopBackOff" && strings.HasPrefix(w.Message, "back-off 10s restarting failed container=main pod=always-bad_default(")
	})
}

// conformance: init-container-starts-app-restartnever-pod
// conformance: init-container-fails-stops-app-restartnever-pod
func TestInitContainersComeFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	inits := func(second string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.InitContainers = []v1.Container{{Name: "one", Image: "app:1", Command: []string{"true"}}, {Name: "two", Image: "app:1", Command: []string{second}}}
			p.Spec.Containers[0].Command = []string{"true"}
		}
	}
	b.pod("good", inits("true"))
	pod := b.until("good", "succeeded", func(p *v1.Pod) bool { return p != nil && p.Status.Phase == v1.PodSucceeded })
	if s := pod.Status; len(s.InitContainerStatuses) != 2 || !s.InitContainerStatuses[1].Ready || conditionOf(pod, v1.PodInitialized) != v1.ConditionTrue {
		t.Errorf("status: %s", describe(pod))
	}
	b.pod("bad", inits("false"))
	pod = b.until("bad", "failed", func(p *v1.Pod) bool { return p != nil && p.Status.Phase == v1.PodFailed })
	if s := pod.Status.ContainerStatuses[0].State; s.Running != nil || pod.Status.InitContainerStatuses[1].State.Terminated.ExitCode != 1 {
		t.Errorf("status: %s", describe(pod))
	}
}

func TestASidecarEndsWithItsPod(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	b.pod("job", func(p *v1.Pod) {
		p.Spec.RestartPolicy = v1.RestartPolicyNever
		p.Spec.InitContainers = []v1.Container{{Name: "proxy", Image: "app:1", RestartPolicy: ptr.To(v1.ContainerRestartPolicyAlways)}}
		p.Spec.Containers[0].Command = []string{"true"}
	})
	pod := b.until("job", "succeeded", func(p *v1.Pod) bool { return p != nil && p.Status.Phase == v1.PodSucceeded })
	if pod.Status.InitContainerStatuses[0].State.Terminated == nil {
		t.Errorf("the sidecar still runs: %s", describe(pod))
	}
}

// conformance: Container Runtime, TerminationMessage, from file of succeeding container
func TestATerminationMessageIsShown(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{Script: func(*runtimeapi.ContainerConfig) criFake.Script {
		return criFake.Script{Exits: true, Message: "all done"}
	}})
	b.pod("told", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever })
	pod := b.until("told", "succeeded", func(p *v1.Pod) bool { return p != nil && p.Status.Phase == v1.PodSucceeded })
	if got := pod.Status.ContainerStatuses[0].State.Terminated.Message; got != "all done" {
		t.Errorf("message is %q", got)
	}
}

func TestAMissingConfigMapHoldsAContainerUntilItComes(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	b.pod("web", func(p *v1.Pod) {
		p.Spec.Containers[0].EnvFrom = []v1.EnvFromSource{{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "settings"}}}}
	})
	b.until("web", "waiting", func(p *v1.Pod) bool { return waitingFor(p) == "CreateContainerConfigError" })
	settings := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings", Namespace: "default"}, Data: map[string]string{"A": "b"}}
	if _, err := b.api.CoreV1().ConfigMaps("default").Create(context.Background(), settings, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.until("web", "ready", ready)
}

func waitingFor(p *v1.Pod) string {
	if p == nil || len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].State.Waiting == nil {
		return ""
	}
	return p.Status.ContainerStatuses[0].State.Waiting.Reason
}

func TestAnImageThatCannotBePulledSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{Missing: true, Pull: func(image string, _ *runtimeapi.AuthConfig) error {
		if strings.HasPrefix(image, "bad") {
			return errors.New("no such image")
		}
		return nil
	}})
	b.pod("good", nil)
	b.until("good", "ready", ready)
	b.pod("bad", func(p *v1.Pod) { p.Spec.Containers[0].Image = "bad:1" })
	b.until("bad", "failing to pull", func(p *v1.Pod) bool { return waitingFor(p) == "ErrImagePull" })
	b.until("bad", "waiting to pull", func(p *v1.Pod) bool { return waitingFor(p) == "ImagePullBackOff" })
	b.pod("never", func(p *v1.Pod) {
		p.Spec.Containers[0].ImagePullPolicy, p.Spec.Containers[0].Image = v1.PullNever, "absent:1"
	})
	b.until("never", "refused", func(p *v1.Pod) bool { return waitingFor(p) == "ErrImageNeverPull" })
	b.pod("name", func(p *v1.Pod) { p.Spec.Containers[0].Image = "NOT VALID" })
	b.until("name", "refused", func(p *v1.Pod) bool { return waitingFor(p) == "InvalidImageName" })
}

// conformance: Pod liveness probe, using local file, restart
func TestProbesDecideReadinessAndLife(t *testing.T) {
	t.Parallel()
	var isReady, isAlive atomic.Bool
	isAlive.Store(true)
	b := newBench(t, criFake.Config{Exec: func(_ *runtimeapi.ContainerConfig, command []string) (string, int32) {
		if command[0] == "ready" && !isReady.Load() || command[0] == "alive" && !isAlive.Swap(true) {
			return "no", 1
		}
		return "", 0
	}})
	probe := func(command string) *v1.Probe {
		return &v1.Probe{ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{command}}}, PeriodSeconds: 1, FailureThreshold: 1, SuccessThreshold: 1}
	}
	b.pod("web", func(p *v1.Pod) {
		p.Spec.Containers[0].ReadinessProbe, p.Spec.Containers[0].LivenessProbe = probe("ready"), probe("alive")
	})
	b.until("web", "running but not ready", func(p *v1.Pod) bool {
		return p != nil && p.Status.Phase == v1.PodRunning && conditionOf(p, v1.PodReady) == v1.ConditionFalse
	})
	isReady.Store(true)
	b.until("web", "ready", ready)
	isAlive.Store(false)
	b.until("web", "restarted", func(p *v1.Pod) bool { return ready(p) && p.Status.ContainerStatuses[0].RestartCount == 1 })
}

func TestStaticPodsHaveMirrors(t *testing.T) {
	t.Parallel()
	manifest := func(b *bench, name string) string { return filepath.Join(b.config.Configuration.StaticPodPath, name) }
	write := func(b *bench, name, text string) {
		if err := os.MkdirAll(b.config.Configuration.StaticPodPath, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(manifest(b, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := newBench(t, criFake.Config{}, func(b *bench) {
		write(b, "bad.yaml", "kind: Nonsense\n")
		write(b, "proxy.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: proxy}\nspec: {containers: [{name: main, image: app:1}]}\n")
	})
	mirror := b.until("proxy-node-1", "ready", ready)
	if mirror.Annotations["kubernetes.io/config.source"] != "file" || mirror.Annotations["kubernetes.io/config.mirror"] == "" || len(mirror.OwnerReferences) != 1 {
		t.Errorf("the mirror is %+v", mirror.ObjectMeta)
	}
	eventually(t, "an event tells of the bad manifest", func() bool {
		events, err := b.api.CoreV1().Events("").List(context.Background(), metav1.ListOptions{})
		if err != nil {
			return false
		}
		for _, e := range events.Items {
			if strings.Contains(e.Message, "bad.yaml") && e.InvolvedObject.Kind == "Node" {
				return true
			}
		}
		return false
	})
	if err := b.api.CoreV1().Pods("default").Delete(context.Background(), "proxy-node-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.until("proxy-node-1", "back", ready)
	if err := os.Remove(manifest(b, "proxy.yaml")); err != nil {
		t.Fatal(err)
	}
	b.until("proxy-node-1", "gone", func(p *v1.Pod) bool { return p == nil })
}

func TestPodsThatMayNotRunHereFail(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	for name, test := range map[string]struct {
		change  func(*v1.Pod)
		reason  string
		message string
	}{
		"cpu": {func(p *v1.Pod) {
			p.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse("100k")}
		}, "OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu, requested: 100000000, used: 0"},
		"sysctl": {func(p *v1.Pod) {
			p.Spec.SecurityContext = &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "kernel.msgmax", Value: "1"}}}
		}, "SysctlForbidden", `Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted`},
		"affinity": {func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"no": "such"} },
			"NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed"},
		"os": {func(p *v1.Pod) { p.Spec.OS = &v1.PodOS{Name: v1.Windows} },
			"PodOSNotSupported", "Pod was rejected: Failed to admit pod as the OS field doesn't match node OS"},
	} {
		b.pod(name, test.change)
		pod := b.until(name, "failed", func(p *v1.Pod) bool { return p != nil && p.Status.Phase == v1.PodFailed })
		if pod.Status.Reason != test.reason || !strings.HasPrefix(pod.Status.Message, test.message) {
			t.Errorf("%s: %s: %s", name, pod.Status.Reason, pod.Status.Message)
		}
	}
	if n := b.runtime.Calls("RunPodSandbox"); n != 0 {
		t.Errorf("%d sandboxes were made", n)
	}
}

func TestResourcesChangeInPlace(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	list := func(cpu string) v1.ResourceRequirements {
		l := v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu), v1.ResourceMemory: resource.MustParse("64Mi")}
		return v1.ResourceRequirements{Requests: l, Limits: l}
	}
	created := b.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].Resources = list("100m") })
	b.until("web", "ready", ready)
	ask := func(cpu string) {
		pod := b.until("web", "there", func(p *v1.Pod) bool { return p != nil })
		pod.Spec.Containers[0].Resources, pod.Generation = list(cpu), pod.Generation+1
		if _, err := b.api.CoreV1().Pods("default").Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ask("200m")
	pod := b.until("web", "resized", func(p *v1.Pod) bool {
		r := p.Status.ContainerStatuses[0].Resources
		return r != nil && r.Limits.Cpu().MilliValue() == 200 && conditionOf(p, v1.PodResizeInProgress) == ""
	})
	if pod.Status.ContainerStatuses[0].RestartCount != 0 || pod.Status.ContainerStatuses[0].AllocatedResources.Cpu().MilliValue() != 200 {
		t.Errorf("status: %s", describe(pod))
	}
	ask("100k")
	pod = b.until("web", "told that this cannot be", func(p *v1.Pod) bool { return conditionOf(p, v1.PodResizePending) == v1.ConditionTrue })
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodResizePending && c.Reason != v1.PodReasonInfeasible {
			t.Errorf("reason is %s: %s", c.Reason, c.Message)
		}
	}
	_ = created
}

// A pod as a whole gets more, then an init container that runs: neither starts anew.
func TestPodsAndInitContainersChangeInPlace(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	list := func(cpu string) v1.ResourceRequirements {
		l := v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu), v1.ResourceMemory: resource.MustParse("64Mi")}
		return v1.ResourceRequirements{Requests: l, Limits: l}
	}
	b.pod("web", func(p *v1.Pod) {
		p.Spec.Resources = ptr.To(list("300m"))
		p.Spec.InitContainers = []v1.Container{{Name: "setup", Image: "app:1", Resources: list("100m")}}
	})
	setup := func(p *v1.Pod) v1.ContainerStatus { return p.Status.InitContainerStatuses[0] }
	pod := b.until("web", "being set up", func(p *v1.Pod) bool {
		return p != nil && len(p.Status.InitContainerStatuses) == 1 && setup(p).State.Running != nil
	})
	change := func(to func(*v1.Pod)) {
		t.Helper()
		pod = b.until("web", "there", func(p *v1.Pod) bool { return p != nil })
		to(pod)
		pod.Generation++
		if _, err := b.api.CoreV1().Pods("default").Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	change(func(p *v1.Pod) { p.Spec.Resources = ptr.To(list("400m")) })
	b.until("web", "resized as a whole", func(p *v1.Pod) bool {
		return p.Status.AllocatedResources.Cpu().MilliValue() == 400 && conditionOf(p, v1.PodResizeInProgress) == "" && b.runtime.Calls("UpdatePodSandboxResources") > 0
	})
	change(func(p *v1.Pod) { p.Spec.InitContainers[0].Resources = list("200m") })
	pod = b.until("web", "resized while set up", func(p *v1.Pod) bool {
		r := setup(p).Resources
		return r != nil && r.Limits.Cpu().MilliValue() == 200 && conditionOf(p, v1.PodResizeInProgress) == ""
	})
	if setup(pod).RestartCount != 0 || setup(pod).State.Running == nil {
		t.Errorf("status: %s", describe(pod))
	}
}

// conformance: Ephemeral Container Creation
func TestAnEphemeralContainerJoins(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	b.pod("web", nil)
	pod := b.until("web", "ready", ready)
	pod.Spec.EphemeralContainers = []v1.EphemeralContainer{{
		EphemeralContainerCommon: v1.EphemeralContainerCommon{Name: "debug", Image: "tools:1"}, TargetContainerName: "main",
	}}
	if _, err := b.api.CoreV1().Pods("default").Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.until("web", "debugged", func(p *v1.Pod) bool {
		return len(p.Status.EphemeralContainerStatuses) == 1 && p.Status.EphemeralContainerStatuses[0].State.Running != nil
	})
}

func TestPodsThatWentWhileNoKubeletRanAreRemoved(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	b.pod("web", nil)
	b.until("web", "ready", ready)
	b.stop()
	if err := b.api.CoreV1().Pods("default").Delete(context.Background(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.start()
	eventually(t, "its sandbox and folder are gone", func() bool {
		_, err := os.Stat(filepath.Join(b.config.RootDir, "pods", "uid-web"))
		return b.runtime.Calls("RemovePodSandbox") == 1 && os.IsNotExist(err)
	})
}

func TestADeadlineEndsAPod(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	b.pod("late", func(p *v1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr.To[int64](1) })
	pod := b.until("late", "failed", func(p *v1.Pod) bool { return p != nil && p.Status.Phase == v1.PodFailed })
	if pod.Status.Reason != "DeadlineExceeded" {
		t.Errorf("status: %s", describe(pod))
	}
}

func TestARuntimeWithoutEventsIsAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{NoEvents: true})
	b.pod("web", nil)
	pod := b.until("web", "ready", ready)
	b.runtime.Kill(idOf(pod), 1, "")
	b.until("web", "restarted", func(p *v1.Pod) bool { return ready(p) && p.Status.ContainerStatuses[0].RestartCount == 1 })
}

func TestADeadSandboxIsReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	b.pod("web", nil)
	pod := b.until("web", "ready", ready)
	b.runtime.KillSandbox(b.runtime.SandboxOf(idOf(pod)))
	again := b.until("web", "running in another sandbox", func(p *v1.Pod) bool { return ready(p) && p.Status.PodIP != pod.Status.PodIP })
	if again.Status.ContainerStatuses[0].RestartCount != 1 {
		t.Errorf("status: %s", describe(again))
	}
}

// conformance: Pod Lifecycle, post start exec hook
// conformance: Pod Lifecycle, prestop exec hook
// conformance: Pods, prestop hook
func TestHooksRun(t *testing.T) {
	t.Parallel()
	var started, stopped atomic.Bool
	b := newBench(t, criFake.Config{Exec: func(_ *runtimeapi.ContainerConfig, command []string) (string, int32) {
		switch command[0] {
		case "hello":
			started.Store(true)
		case "bye":
			stopped.Store(true)
		case "fail":
			return "", 1
		}
		return "", 0
	}})
	hook := func(command string) *v1.LifecycleHandler {
		return &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{command}}}
	}
	b.pod("web", func(p *v1.Pod) {
		p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: hook("hello"), PreStop: hook("bye")}
	})
	b.until("web", "ready", ready)
	eventually(t, "the postStart hook ran", started.Load)
	b.delete("web", 5)
	b.until("web", "gone", func(p *v1.Pod) bool { return p == nil })
	if !stopped.Load() {
		t.Error("the preStop hook did not run")
	}
	b.pod("bad", func(p *v1.Pod) { p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: hook("fail")} })
	b.until("bad", "restarted for its hook", func(p *v1.Pod) bool {
		return p != nil && len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount >= 1
	})
}
