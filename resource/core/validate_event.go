package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

// How long the words of an event may be.
const (
	maxEventWord = 128
	maxEventNote = 1024
)

func validateEvent(_ *resource.Request, event *corev1.Event) field.ErrorList {
	return ValidateEvent(event, "reportingComponent")
}

func validateEventUpdate(r *resource.Request, event, _ *corev1.Event) field.ErrorList {
	return validateEvent(r, event)
}

// ValidateEvent checks what holds for events of both API groups; reporter is what the version calls the reporting controller.
func ValidateEvent(event *corev1.Event, reporter string) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("involvedObject", "namespace")
	if about := event.InvolvedObject.Namespace; about == "" {
		// What is in no namespace has its events in the default one.
		if event.Namespace != metav1.NamespaceNone && event.Namespace != metav1.NamespaceDefault {
			errs = append(errs, field.Invalid(path, about, "does not match event.namespace"))
		}
	} else if event.Namespace != about {
		errs = append(errs, field.Invalid(path, about, "does not match event.namespace"))
	}
	if !event.EventTime.IsZero() {
		errs = append(errs, newStyle(event, reporter)...)
	}
	for _, word := range []struct{ name, value string }{
		{"reportingInstance", event.ReportingInstance}, {"action", event.Action}, {"reason", event.Reason},
	} {
		if !event.EventTime.IsZero() && len(word.value) > maxEventWord {
			errs = append(errs, field.Invalid(field.NewPath(word.name), "", fmt.Sprintf("can have at most %v characters", maxEventWord)))
		}
	}
	if !event.EventTime.IsZero() && len(event.Message) > maxEventNote {
		errs = append(errs, field.Invalid(field.NewPath("message"), "", fmt.Sprintf("can have at most %v characters", maxEventNote)))
	}
	return errs
}

// newStyle checks events that name their reporter instead of a source.
func newStyle(event *corev1.Event, reporter string) field.ErrorList {
	var errs field.ErrorList
	if event.ReportingController == "" {
		errs = append(errs, field.Required(field.NewPath(reporter), ""))
	}
	errs = append(errs, invalidEach(field.NewPath(reporter), event.ReportingController, validation.IsQualifiedName(event.ReportingController))...)
	errs = append(errs, given(event.ReportingInstance, field.NewPath("reportingInstance"))...)
	errs = append(errs, given(event.Action, field.NewPath("action"))...)
	return append(errs, given(event.Reason, field.NewPath("reason"))...)
}
