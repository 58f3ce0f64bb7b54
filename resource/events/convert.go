package events

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/septet-io/septet/resource"
)

// The two Events have the same contents under other names; nothing is lost either way.

func toCore(objs []resource.Object) ([]resource.Object, error) {
	out := make([]resource.Object, len(objs))
	for i, obj := range objs {
		e, ok := obj.(*eventsv1.Event)
		if !ok {
			return nil, fmt.Errorf("events.k8s.io/v1 Event expected, not %T", obj)
		}
		out[i] = inner(e)
	}
	return out, nil
}

func inner(e *eventsv1.Event) *corev1.Event {
	core := &corev1.Event{
		ObjectMeta:     e.ObjectMeta,
		InvolvedObject: e.Regarding,
		Reason:         e.Reason, Message: e.Note, Type: e.Type,
		Source:         e.DeprecatedSource,
		FirstTimestamp: e.DeprecatedFirstTimestamp, LastTimestamp: e.DeprecatedLastTimestamp, Count: e.DeprecatedCount,
		EventTime: e.EventTime, Action: e.Action, Related: e.Related,
		ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance,
	}
	core.APIVersion, core.Kind = "v1", "Event"
	if e.Series != nil {
		core.Series = &corev1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return core
}

func fromCore(objs []resource.Object) ([]resource.Object, error) {
	out := make([]resource.Object, len(objs))
	for i, obj := range objs {
		core, ok := obj.(*corev1.Event)
		if !ok {
			return nil, fmt.Errorf("v1 Event expected, not %T", obj)
		}
		e := &eventsv1.Event{
			ObjectMeta: core.ObjectMeta,
			Regarding:  core.InvolvedObject,
			Reason:     core.Reason, Note: core.Message, Type: core.Type,
			DeprecatedSource:         core.Source,
			DeprecatedFirstTimestamp: core.FirstTimestamp, DeprecatedLastTimestamp: core.LastTimestamp, DeprecatedCount: core.Count,
			EventTime: core.EventTime, Action: core.Action, Related: core.Related,
			ReportingController: core.ReportingController, ReportingInstance: core.ReportingInstance,
		}
		e.APIVersion, e.Kind = "events.k8s.io/v1", "Event"
		if core.Series != nil {
			e.Series = &eventsv1.EventSeries{Count: core.Series.Count, LastObservedTime: core.Series.LastObservedTime}
		}
		out[i] = e
	}
	return out, nil
}
