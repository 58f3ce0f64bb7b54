package core

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// EventTTL is how long etcd keeps an event where nothing else is asked for (--event-ttl).
const EventTTL = time.Hour

// Events is all that the server knows about Events. It is made once, since events.k8s.io stores its own as these.
var Events = sync.OnceValue(func() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Event]{
		Version: "v1", Kind: "Event", Plural: "events",
		Short: []string{"ev"}, Scope: resource.Namespaced,
		CreateOnUpdate: true,
		TTL:            func(*corev1.Event) time.Duration { return EventTTL },
		ValidateName:   func(string, bool) []string { return nil },
		Columns:        EventColumns(func(e *corev1.Event) *corev1.Event { return e }),
		Fields:         eventFields(),
		Validate:       validateEvent, ValidateUpdate: validateEventUpdate,
	})
})

func eventFields() []resource.Field[*corev1.Event] {
	return []resource.Field[*corev1.Event]{
		{Name: "involvedObject.kind", Value: func(e *corev1.Event) string { return e.InvolvedObject.Kind }},
		{Name: "involvedObject.namespace", Value: func(e *corev1.Event) string { return e.InvolvedObject.Namespace }},
		{Name: "involvedObject.name", Value: func(e *corev1.Event) string { return e.InvolvedObject.Name }},
		{Name: "involvedObject.uid", Value: func(e *corev1.Event) string { return string(e.InvolvedObject.UID) }},
		{Name: "involvedObject.apiVersion", Value: func(e *corev1.Event) string { return e.InvolvedObject.APIVersion }},
		{Name: "involvedObject.resourceVersion", Value: func(e *corev1.Event) string { return e.InvolvedObject.ResourceVersion }},
		{Name: "involvedObject.fieldPath", Value: func(e *corev1.Event) string { return e.InvolvedObject.FieldPath }},
		{Name: "reason", Value: func(e *corev1.Event) string { return e.Reason }},
		{Name: "reportingComponent", Value: func(e *corev1.Event) string { return e.ReportingController }},
		{Name: "source", Value: eventSource},
		{Name: "type", Value: func(e *corev1.Event) string { return e.Type }},
	}
}

// eventSource is the component that an old-style event names, or else the one of a new-style event.
func eventSource(e *corev1.Event) string {
	if e.Source.Component != "" {
		return e.Source.Component
	}
	return e.ReportingController
}
