package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// EventColumns are the columns of Events of both API groups; of turns an object into a core Event.
func EventColumns[T resource.Object](of func(T) *corev1.Event) []resource.Column[T] {
	doc := corev1.Event{}.SwaggerDoc()
	text := func(name, description string, value func(*corev1.Event) string) resource.Column[T] {
		return resource.Text(name, description, func(obj T) string { return value(of(obj)) })
	}
	wide := func(name, description string, value func(*corev1.Event) string) resource.Column[T] {
		return resource.Wide(name, description, func(obj T) string { return value(of(obj)) })
	}
	name := resource.Name[T]()
	name.Priority = 1
	return []resource.Column[T]{
		text("Last Seen", doc["lastTimestamp"], func(e *corev1.Event) string { return resource.Since(lastSeen(e)) }),
		text("Type", doc["type"], func(e *corev1.Event) string { return e.Type }),
		text("Reason", doc["reason"], func(e *corev1.Event) string { return e.Reason }),
		text("Object", doc["involvedObject"], func(e *corev1.Event) string {
			kind := strings.ToLower(e.InvolvedObject.Kind)
			if e.InvolvedObject.Name == "" {
				return kind
			}
			return kind + "/" + e.InvolvedObject.Name
		}),
		wide("Subobject", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"], func(e *corev1.Event) string { return e.InvolvedObject.FieldPath }),
		wide("Source", doc["source"], reporter),
		text("Message", doc["message"], func(e *corev1.Event) string { return strings.TrimSpace(e.Message) }),
		wide("First Seen", doc["firstTimestamp"], func(e *corev1.Event) string { return resource.Since(firstSeen(e)) }),
		{Name: "Count", Priority: 1, Description: doc["count"], Value: func(obj T) any { return eventCount(of(obj)) }},
		name,
	}
}

func firstSeen(e *corev1.Event) metav1.Time {
	if e.FirstTimestamp.IsZero() {
		return metav1.Time(e.EventTime)
	}
	return e.FirstTimestamp
}

func lastSeen(e *corev1.Event) metav1.Time {
	switch {
	case e.Series != nil:
		return metav1.Time(e.Series.LastObservedTime)
	case e.LastTimestamp.IsZero():
		return firstSeen(e)
	}
	return e.LastTimestamp
}

// eventCount: an event without a count has happened once.
func eventCount(e *corev1.Event) int64 {
	switch {
	case e.Series != nil:
		return int64(e.Series.Count)
	case e.Count == 0:
		return 1
	}
	return int64(e.Count)
}

func reporter(e *corev1.Event) string {
	component, instance := e.Source.Component, e.Source.Host
	if component == "" {
		component = e.ReportingController
	}
	if instance == "" {
		instance = e.ReportingInstance
	}
	if instance == "" {
		return component
	}
	return component + ", " + instance
}
