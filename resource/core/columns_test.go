package core

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestPodStatusColumn(t *testing.T) {
	t.Parallel()
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	ended := func(reason string, code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	yes := func(kind corev1.PodConditionType) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue}
	}
	sidecar := corev1.Container{Name: "side", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}
	now := metav1.Now()
	for name, test := range map[string]struct {
		pod                     corev1.Pod
		status, ready, restarts string
	}{
		"pending": {corev1.Pod{Status: corev1.PodStatus{Phase: "Pending"}}, "Pending", "0/1", "0"},
		"gated": {corev1.Pod{Status: corev1.PodStatus{Phase: "Pending", Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Reason: corev1.PodReasonSchedulingGated},
		}}}, "SchedulingGated", "0/1", "0"},
		"running": {corev1.Pod{Status: corev1.PodStatus{Phase: "Running", ContainerStatuses: []corev1.ContainerStatus{
			{Name: "main", Ready: true, State: running},
		}}}, "Running", "1/1", "0"},
		"crashing": {corev1.Pod{Status: corev1.PodStatus{Phase: "Running", ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", State: waiting("CrashLoopBackOff"), RestartCount: 3,
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(now.Add(-5 * time.Minute))}},
		}}}}, "CrashLoopBackOff", "0/1", "3 (5m ago)"},
		"initializing": {corev1.Pod{
			Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "a"}, {Name: "b"}}},
			Status: corev1.PodStatus{Phase: "Pending", InitContainerStatuses: []corev1.ContainerStatus{
				{Name: "a", State: ended("Completed", 0)}, {Name: "b", State: running},
			}},
		}, "Init:1/2", "0/1", "0"},
		"init failed": {corev1.Pod{
			Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "a"}}},
			Status: corev1.PodStatus{Phase: "Pending", InitContainerStatuses: []corev1.ContainerStatus{
				{Name: "a", State: ended("", 7), RestartCount: 2},
			}},
		}, "Init:ExitCode:7", "0/1", "2"},
		"with a sidecar": {corev1.Pod{
			Spec: corev1.PodSpec{InitContainers: []corev1.Container{sidecar}},
			Status: corev1.PodStatus{Phase: "Running",
				InitContainerStatuses: []corev1.ContainerStatus{{Name: "side", Ready: true, Started: ptr.To(true), State: running, RestartCount: 1}},
				ContainerStatuses:     []corev1.ContainerStatus{{Name: "main", Ready: true, State: running}},
			},
		}, "Running", "2/2", "1"},
		"half done": {corev1.Pod{Status: corev1.PodStatus{Phase: "Running", Conditions: []corev1.PodCondition{yes(corev1.PodReady)}, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "main", State: ended("Completed", 0)}, {Name: "other", Ready: true, State: running},
		}}}, "Running", "1/1", "0"},
		"completed": {corev1.Pod{Status: corev1.PodStatus{Phase: "Succeeded", ContainerStatuses: []corev1.ContainerStatus{
			{Name: "main", State: ended("Completed", 0)},
		}}}, "Completed", "0/1", "0"},
		"killed":      {corev1.Pod{Status: corev1.PodStatus{Phase: "Failed", Reason: "Evicted"}}, "Evicted", "0/1", "0"},
		"terminating": {corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Status: corev1.PodStatus{Phase: "Running"}}, "Terminating", "0/1", "0"},
		"node lost": {corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now},
			Status: corev1.PodStatus{Phase: "Running", Reason: "NodeLost"}}, "Unknown", "0/1", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.pod.Spec.Containers = []corev1.Container{{Name: "main"}}
			columns := podColumns()
			for i, want := range []string{test.ready, test.status, test.restarts} {
				if got := columns[i+1].Value(&test.pod); got != want {
					t.Errorf("%s: got %q, want %q", columns[i+1].Name, got, want)
				}
			}
		})
	}
}

func TestNodeColumns(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": ""}},
		Spec:       corev1.NodeSpec{Unschedulable: true},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
	if got := nodeStatus(node); got != "Ready,SchedulingDisabled" {
		t.Error(got)
	}
	if got := kernelVersion(&corev1.NodeSystemInfo{KernelVersion: "6.1.0", Architecture: "arm64"}); got != "6.1.0 (arm64)" {
		t.Error(got)
	}
	if got := nodeRoles(node); got != "control-plane,worker" {
		t.Error(got)
	}
}

func TestExternalIPColumn(t *testing.T) {
	t.Parallel()
	s := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
	if got := externalIP(s); got != "<pending>" {
		t.Error(got)
	}
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "2.2.2.2"}, {Hostname: "a.example"}, {IP: "1.1.1.1"}}
	s.Spec.ExternalIPs = []string{"9.9.9.9"}
	if got := externalIP(s); got != "1.1.1.1,2.2.2.2,a.example,9.9.9.9" {
		t.Error(got)
	}
}
