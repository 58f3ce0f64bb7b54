package scheduler

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/client"
)

const (
	// maxNote is the API's limit on an event's note.
	maxNote = 1024
	// maxBacklog bounds the events that wait to be written; beyond it they are dropped, as upstream does.
	maxBacklog = 10000
	// seriesLife is how long an event that is repeated becomes a series rather than a new event.
	seriesLife = 6 * time.Minute
)

// recorder writes events about pods without making anybody wait. Repetitions become one event with a count.
type recorder struct {
	client   *client.Set
	writers  *pool
	instance string

	mu     sync.Mutex
	series map[seriesKey]*seriesState
	many   int // how many there may be before old ones are forgotten
}

type seriesKey struct {
	uid                    types.UID
	reporter, reason, note string
}

type seriesState struct {
	name  string
	count int32
	last  time.Time
}

func newRecorder(client *client.Set) *recorder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &recorder{client: client, writers: &pool{limit: 32}, instance: host, series: map[seriesKey]*seriesState{}}
}

// record writes one event about a pod.
func (r *recorder) record(ctx context.Context, pod *corev1.Pod, reporter, eventType, reason, action, note string) {
	if r.writers.backlog() > maxBacklog {
		return
	}
	if len(note) > maxNote {
		note = note[:maxNote-4] + " ..."
	}
	now := time.Now()
	key := seriesKey{pod.UID, reporter, reason, note}
	if eventType == corev1.EventTypeWarning {
		if again, count := r.repeated(key, now); again != "" {
			r.writers.do(func() { r.extend(ctx, pod.Namespace, again, count, now) })
			return
		}
	}
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: pod.Namespace, Name: fmt.Sprintf("%s.%x", pod.Name, now.UnixNano())},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: reporter, ReportingInstance: reporter + "-" + r.instance,
		Action: action, Reason: reason, Note: note, Type: eventType,
		Regarding: corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
	}
	if eventType == corev1.EventTypeWarning {
		r.remember(key, event.Name, now)
	}
	r.writers.do(func() {
		if err := r.client.Record(ctx, event); err != nil && ctx.Err() == nil && !gone(err) {
			klog.FromContext(ctx).V(2).Info("Could not write an event", "pod", klog.KObj(pod), "reason", reason, "err", err)
		}
	})
}

// gone recognizes namespaces that are going away: nobody will read the event.
func gone(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func (r *recorder) repeated(key seriesKey, now time.Time) (name string, count int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.series[key]
	if s == nil || now.Sub(s.last) > seriesLife {
		return "", 0
	}
	s.count++
	s.last = now
	return s.name, s.count
}

// minSeries is how many series are remembered at least before old ones are forgotten, maxSeries how many at most: then all are new again.
const (
	minSeries = 4096
	maxSeries = 65536
)

// remember notes an event that may be repeated. Those that are over are forgotten once there are twice as many as after the last time.
func (r *recorder) remember(key seriesKey, name string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.series) >= max(r.many, minSeries) {
		for k, s := range r.series {
			if now.Sub(s.last) > seriesLife {
				delete(r.series, k)
			}
		}
		if len(r.series) >= maxSeries {
			clear(r.series)
		}
		r.many = min(2*len(r.series), maxSeries)
	}
	r.series[key] = &seriesState{name: name, count: 1, last: now}
}

// extend raises the count of a series.
func (r *recorder) extend(ctx context.Context, namespace, name string, count int32, now time.Time) {
	patch := fmt.Sprintf(`{"series":{"count":%d,"lastObservedTime":%q}}`, count, now.UTC().Format("2006-01-02T15:04:05.000000Z"))
	_, err := r.client.EventsV1().Events(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil && ctx.Err() == nil && !gone(err) {
		klog.FromContext(ctx).V(2).Info("Could not extend an event", "event", klog.KRef(namespace, name), "err", err)
	}
}
