package events

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// validate checks a new event: it speaks the new style, and the fields of the old one stay empty.
func validate(_ *resource.Request, e *eventsv1.Event) field.ErrorList {
	errs := core.ValidateEvent(inner(e), "reportingController")
	errs = append(errs, series(e)...)
	if e.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", fmt.Sprintf("has invalid value: %v", e.Type)))
	}
	for _, old := range []struct {
		name string
		set  bool
	}{
		{"firstTimestamp", !e.DeprecatedFirstTimestamp.IsZero()}, {"lastTimestamp", !e.DeprecatedLastTimestamp.IsZero()},
		{"count", e.DeprecatedCount != 0}, {"source", e.DeprecatedSource != corev1.EventSource{}},
	} {
		if old.set {
			errs = append(errs, field.Invalid(field.NewPath(old.name), "", "needs to be unset"))
		}
	}
	return errs
}

func series(e *eventsv1.Event) field.ErrorList {
	if e.Series == nil {
		return nil
	}
	var errs field.ErrorList
	path := field.NewPath("series")
	if e.Series.Count < 2 {
		errs = append(errs, field.Invalid(path.Child("count"), "", "should be at least 2"))
	}
	if e.Series.LastObservedTime.IsZero() {
		errs = append(errs, field.Required(path.Child("lastObservedTime"), ""))
	}
	return errs
}

// validateUpdate: of an event that exists only the series goes on.
func validateUpdate(_ *resource.Request, e, old *eventsv1.Event) field.ErrorList {
	errs := core.ValidateEvent(inner(e), "reportingController")
	for _, f := range []struct {
		name     string
		now, old any
	}{
		{"involvedObject", e.Regarding, old.Regarding}, {"reason", e.Reason, old.Reason}, {"message", e.Note, old.Note},
		{"source", e.DeprecatedSource, old.DeprecatedSource}, {"firstTimestamp", e.DeprecatedFirstTimestamp, old.DeprecatedFirstTimestamp},
		{"lastTimestamp", e.DeprecatedLastTimestamp, old.DeprecatedLastTimestamp}, {"count", e.DeprecatedCount, old.DeprecatedCount},
		{"reportingController", e.ReportingController, old.ReportingController}, {"reportingInstance", e.ReportingInstance, old.ReportingInstance},
		{"related", e.Related, old.Related}, {"action", e.Action, old.Action}, {"type", e.Type, old.Type},
	} {
		errs = append(errs, core.Immutable(f.now, f.old, field.NewPath(f.name))...)
	}
	// Upstream keeps microseconds only in some encodings.
	if !e.EventTime.Truncate(1e9).Equal(old.EventTime.Truncate(1e9)) {
		errs = append(errs, core.Immutable(e.EventTime, old.EventTime, field.NewPath("eventTime"))...)
	}
	return append(errs, series(e)...)
}
