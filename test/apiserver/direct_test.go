package apiserver

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/client"
)

// bindingOf and eventOf are what the scheduler sends.
func bindingOf(pod *corev1.Pod, node string) *corev1.Binding {
	return &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: node},
	}
}

func eventOf(pod *corev1.Pod, name string) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: name}, EventTime: metav1.NowMicro(), ReportingController: "bench",
		ReportingInstance: "bench-1", Action: "Binding", Reason: "Scheduled", Note: "Successfully assigned", Type: corev1.EventTypeNormal,
		Regarding: corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
}

// TestTheShortWay has clients in the server's process bind and record past HTTP, and finds no difference to those over TLS.
func TestTheShortWay(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	server.Namespace("direct")
	admin := server.Client()
	ctx := t.Context()
	masters := map[string]*client.Set{"tls": server.Clients(server.As("worker", "system:masters")), "in-process": server.InProcess("worker", "system:masters")}
	nobodies := map[string]*client.Set{"tls": server.Clients(server.As("nobody")), "in-process": server.InProcess("nobody", "system:authenticated")}
	told := map[string][]string{}
	for name, set := range masters {
		pod, err := admin.CoreV1().Pods("direct").Create(ctx, plainPod("pod-"+name), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		note := func(err error) { told[name] = append(told[name], reasonOf(err)) }
		wrong, missing := bindingOf(pod, "node-1"), bindingOf(pod, "node-1")
		wrong.UID, missing.Name, missing.UID = "another", "missing", ""
		note(nobodies[name].Bind(ctx, bindingOf(pod, "node-1")))
		note(nobodies[name].Record(ctx, eventOf(pod, "event-"+name)))
		note(set.Bind(ctx, wrong))
		note(set.Bind(ctx, missing))
		note(set.Bind(ctx, bindingOf(pod, "")))
		note(set.Bind(ctx, bindingOf(pod, "node-1")))
		note(set.Bind(ctx, bindingOf(pod, "node-2")))
		note(set.Record(ctx, eventOf(pod, "event-"+name)))
		note(set.Record(ctx, eventOf(pod, "event-"+name)))
		podOf := func(name string, spec corev1.PodSpec) *corev1.Pod {
			return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "direct", Name: name}, Spec: spec}
		}
		note(set.CreatePod(ctx, podOf("made-"+name, plainPod("").Spec)))
		note(set.CreatePod(ctx, podOf("made-"+name, plainPod("").Spec)))
		note(set.CreatePod(ctx, podOf("empty-"+name, corev1.PodSpec{})))
		if made, err := admin.CoreV1().Pods("direct").Get(ctx, "made-"+name, metav1.GetOptions{}); err != nil || made.Spec.RestartPolicy != corev1.RestartPolicyAlways {
			t.Errorf("%s: %v, %+v", name, err, made)
		}
		if pod, err = admin.CoreV1().Pods("direct").Get(ctx, pod.Name, metav1.GetOptions{}); err != nil || pod.Spec.NodeName != "node-1" {
			t.Errorf("%s: %v, on node %q", name, err, pod.Spec.NodeName)
		}
		event, err := admin.EventsV1().Events("direct").Get(ctx, "event-"+name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if fields := event.ManagedFields; event.Note != "Successfully assigned" || len(fields) != 1 || fields[0].Manager != "worker" {
			t.Errorf("%s: %+v", name, event)
		}
	}
	want := []string{"Forbidden", "Forbidden", "Conflict", "NotFound", "Invalid", "", "Conflict", "", "AlreadyExists", "", "AlreadyExists", "Invalid"}
	for name, got := range told {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	past, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancel()
	for name, set := range masters {
		if err := set.Record(past, eventOf(plainPod("late"), "late-"+name)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: a record after its deadline: %v", name, err)
		}
		if _, err := set.CoreV1().Pods("direct").Create(past, plainPod("late-"+name), metav1.CreateOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: a Pod after its deadline: %v", name, err)
		}
	}
}

func reasonOf(err error) string {
	if reason := apierrors.ReasonForError(err); err != nil && reason == metav1.StatusReasonUnknown {
		return err.Error()
	} else if err != nil {
		return string(reason)
	}
	return ""
}

// BenchmarkInProcess is what writes of components in the server's process cost, with clients as the scheduler has them.
func BenchmarkInProcess(b *testing.B) {
	server := StartComplete(b)
	server.Namespace("direct")
	set := server.InProcess("worker", "system:masters")
	ctx := b.Context()
	n := 0
	var pods []*corev1.Pod
	make := func(b *testing.B) *corev1.Pod {
		n++
		pod, err := set.CoreV1().Pods("direct").Create(ctx, plainPod(fmt.Sprintf("pod-%d", n)), metav1.CreateOptions{})
		if err != nil {
			b.Fatal(err)
		}
		return pod
	}
	some := make(b)
	if _, err := set.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name    string
		prepare func(*testing.B)
		write   func(i int) error
	}{
		{"create", nil, func(int) error {
			n++
			pod := plainPod(fmt.Sprintf("pod-%d", n))
			pod.Namespace = "direct"
			return set.CreatePod(ctx, pod)
		}},
		{"bind", func(b *testing.B) {
			pods = pods[:0]
			for range b.N {
				pods = append(pods, make(b))
			}
		}, func(i int) error { return set.Bind(ctx, bindingOf(pods[i], "node-1")) }},
		{"record", nil, func(int) error { n++; return set.Record(ctx, eventOf(some, fmt.Sprintf("event-%d", n))) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			if bench.prepare != nil {
				bench.prepare(b)
			}
			b.ReportAllocs()
			b.ResetTimer()
			began := cpu()
			for i := range b.N {
				if err := bench.write(i); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "µs-cpu/op")
		})
	}
}

// cpu is what this process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
