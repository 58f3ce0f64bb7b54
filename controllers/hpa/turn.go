package hpa

import (
	"context"
	"fmt"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// turn is one look at one autoscaler.
type turn struct {
	*controller
	a      *autoscalingv2.HorizontalPodAutoscaler
	status *autoscalingv2.HorizontalPodAutoscalerStatus
	now    time.Time
}

// run reads the target's size, computes the wanted one and writes it.
func (t *turn) run(ctx context.Context) {
	target, err := open(ctx, t.client, t.a.Namespace, t.a.Spec.ScaleTargetRef)
	if err != nil {
		t.warn("FailedGetScale", err.Error())
		t.set(autoscalingv2.AbleToScale, false, "FailedGetScale", "the HPA controller was unable to get the target's current scale: %v", err)
		return
	}
	t.set(autoscalingv2.AbleToScale, true, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
	current := target.scale.Spec.Replicas
	t.status.CurrentReplicas, t.status.ObservedGeneration = current, &t.a.Generation
	past := t.past(t.a.UID)
	if len(past.Recommendations) == 0 {
		past.Recommendations = []Moment{{t.now, current}} // a restart must not forget why the size is what it is
	}
	wanted, reason, ok := t.wanted(ctx, target, past)
	if !ok {
		return
	}
	if wanted == current {
		t.status.DesiredReplicas = current
		return
	}
	if err := target.resize(ctx, wanted); err != nil {
		t.warn("FailedRescale", fmt.Sprintf("New size: %d; reason: %s; error: %v", wanted, reason, err))
		t.set(autoscalingv2.AbleToScale, false, "FailedUpdateScale", "the HPA controller was unable to update the target scale: %v", err)
		return
	}
	t.rescaled(ctx, past, current, wanted, reason)
}

// rescaled tells of a change of size and remembers it.
func (t *turn) rescaled(ctx context.Context, past *Past, from, to int32, reason string) {
	t.set(autoscalingv2.AbleToScale, true, "SucceededRescale", "the HPA controller was able to update the target scale to %d", to)
	t.events.Eventf(t.a, corev1.EventTypeNormal, "SuccessfulRescale", "New size: %d; reason: %s", to, reason)
	ref := t.a.Spec.ScaleTargetRef
	reconcile.Note(ctx, journal.Record{Step: "scale", Kind: ref.Kind, Namespace: t.a.Namespace, Name: ref.Name, Note: fmt.Sprintf("from %d to %d: %s", from, to, reason)})
	oldest := t.now.Add(-time.Hour) // the longest period that a policy may have is half of that
	past.Ups, past.Downs = since(past.Ups, oldest), since(past.Downs, oldest)
	if to > from {
		past.Ups = append(past.Ups, Moment{t.now, to - from})
	} else {
		past.Downs = append(past.Downs, Moment{t.now, from - to})
	}
	t.status.DesiredReplicas = to
	t.status.LastScaleTime = &metav1.Time{Time: t.now}
}

// wanted returns the size that the target should have and why; false if it cannot be told.
func (t *turn) wanted(ctx context.Context, target *target, past *Past) (int32, string, bool) {
	current, least := target.scale.Spec.Replicas, ptr.Deref(t.a.Spec.MinReplicas, 1)
	switch {
	case current == 0 && least != 0:
		t.set(autoscalingv2.ScalingActive, false, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
		return 0, "", true
	case current > t.a.Spec.MaxReplicas:
		return t.a.Spec.MaxReplicas, "Current number of replicas above Spec.MaxReplicas", true
	case current < least:
		return least, "Current number of replicas below Spec.MinReplicas", true
	}
	asked, name, ok := t.ask(ctx, target)
	if !ok {
		return 0, "", false
	}
	limited := Limit(current, asked, past, Bounds{
		Min: least, Max: t.a.Spec.MaxReplicas, Behavior: t.a.Spec.Behavior, DownscaleStabilization: t.options.DownscaleStabilization,
	}, t.now)
	t.explain(limited)
	reason := "All metrics below target"
	if asked > current {
		reason = name + " above target"
	}
	return limited.Replicas, reason, true
}

// ask reads all metrics; the one that wants most replicas counts. If some cannot be read the others may only scale up.
func (t *turn) ask(ctx context.Context, target *target) (replicas int32, name string, ok bool) {
	e := &evaluation{controller: t.controller, autoscaler: t.a, current: target.scale.Spec.Replicas, status: target.scale.Status.Replicas, now: t.now}
	if target.scale.Status.Selector == "" {
		t.warn("SelectorRequired", "selector is required")
		t.set(autoscalingv2.ScalingActive, false, "InvalidSelector", "the HPA target's scale is missing a selector")
		return 0, "", false
	}
	var err error
	if e.selector, err = labels.Parse(target.scale.Status.Selector); err != nil {
		t.warn("InvalidSelector", fmt.Sprintf("couldn't convert selector into a corresponding internal selector object: %v", err))
		t.set(autoscalingv2.ScalingActive, false, "InvalidSelector", "couldn't convert selector into a corresponding internal selector object: %v", err)
		return 0, "", false
	}
	var first *failure
	failed := 0
	t.status.CurrentMetrics = nil
	for _, spec := range t.a.Spec.Metrics {
		found, failure := e.metric(ctx, spec)
		if failure != nil {
			failed++
			t.warn(failure.reason, failure.Error())
			if first == nil {
				first = failure
			}
			continue
		}
		t.status.CurrentMetrics = append(t.status.CurrentMetrics, found.status)
		if name == "" || found.replicas > replicas {
			replicas, name = found.replicas, found.name
		}
	}
	if failed == len(t.a.Spec.Metrics) || (failed > 0 && replicas < e.current) {
		t.set(autoscalingv2.ScalingActive, false, first.reason, "the HPA was unable to compute the replica count: %v", first.error)
		t.warn("FailedComputeMetricsReplicas", fmt.Sprintf("invalid metrics (%v invalid out of %v), first error is: %v", failed, len(t.a.Spec.Metrics), first.error))
		return 0, "", false
	}
	t.set(autoscalingv2.ScalingActive, true, "ValidMetricFound", "the HPA was able to successfully calculate a replica count from %s", name)
	return replicas, name, true
}

// explain sets the conditions that say what the bounds did.
func (t *turn) explain(l Limited) {
	switch {
	case l.Stable:
		t.set(autoscalingv2.AbleToScale, true, "ReadyForNewScale", "recommended size matches current size")
	case l.StabilizedUp:
		t.set(autoscalingv2.AbleToScale, true, "ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation")
	default:
		t.set(autoscalingv2.AbleToScale, true, "ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation")
	}
	t.set(autoscalingv2.ScalingLimited, !l.Within, l.Reason, "%s", l.Message)
}

func (t *turn) warn(reason, message string) {
	t.events.Event(t.a, corev1.EventTypeWarning, reason, strings.TrimSpace(message))
}

// set sets a condition of the status.
func (t *turn) set(kind autoscalingv2.HorizontalPodAutoscalerConditionType, is bool, reason, format string, args ...any) {
	to := autoscalingv2.HorizontalPodAutoscalerCondition{
		Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...), LastTransitionTime: metav1.NewTime(t.now),
	}
	if is {
		to.Status = corev1.ConditionTrue
	}
	for i, old := range t.status.Conditions {
		if old.Type == kind {
			if old.Status == to.Status {
				to.LastTransitionTime = old.LastTransitionTime
			}
			t.status.Conditions[i] = to
			return
		}
	}
	t.status.Conditions = append(t.status.Conditions, to)
}
