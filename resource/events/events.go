// Package events holds the Event of events.k8s.io, which is stored as the core Event: one store, two versions.
package events

import (
	"time"

	eventsv1 "k8s.io/api/events/v1"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{Events()}
}

// Events is all that the server knows about Events of events.k8s.io.
func Events() *resource.Kind {
	return resource.Define(resource.Definition[*eventsv1.Event]{
		Group: "events.k8s.io", Version: "v1", Kind: "Event", Plural: "events",
		Short: []string{"ev"}, Scope: resource.Namespaced,
		CreateOnUpdate: true,
		TTL:            func(*eventsv1.Event) time.Duration { return core.EventTTL },
		StoredAs:       core.Events(), To: toCore, From: fromCore,
		Columns:  core.EventColumns(inner),
		Fields:   eventFields(),
		Validate: validate, ValidateUpdate: validateUpdate,
	})
}

// eventFields are what selectors may ask for, each with its name in the core group, in whose form events are stored.
func eventFields() []resource.Field[*eventsv1.Event] {
	return []resource.Field[*eventsv1.Event]{
		{Name: "regarding.kind", Stored: "involvedObject.kind", Value: func(e *eventsv1.Event) string { return e.Regarding.Kind }},
		{Name: "regarding.namespace", Stored: "involvedObject.namespace", Value: func(e *eventsv1.Event) string { return e.Regarding.Namespace }},
		{Name: "regarding.name", Stored: "involvedObject.name", Value: func(e *eventsv1.Event) string { return e.Regarding.Name }},
		{Name: "regarding.uid", Stored: "involvedObject.uid", Value: func(e *eventsv1.Event) string { return string(e.Regarding.UID) }},
		{Name: "regarding.apiVersion", Stored: "involvedObject.apiVersion", Value: func(e *eventsv1.Event) string { return e.Regarding.APIVersion }},
		{Name: "regarding.resourceVersion", Stored: "involvedObject.resourceVersion", Value: func(e *eventsv1.Event) string { return e.Regarding.ResourceVersion }},
		{Name: "regarding.fieldPath", Stored: "involvedObject.fieldPath", Value: func(e *eventsv1.Event) string { return e.Regarding.FieldPath }},
		{Name: "reason", Value: func(e *eventsv1.Event) string { return e.Reason }},
		{Name: "reportingController", Stored: "reportingComponent", Value: func(e *eventsv1.Event) string { return e.ReportingController }},
		{Name: "type", Value: func(e *eventsv1.Event) string { return e.Type }},
	}
}
