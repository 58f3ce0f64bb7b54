package resource

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// Name is the first column of every kind.
func Name[T Object]() Column[T] {
	return Column[T]{
		Name: "Name", Format: "name",
		Description: metav1.ObjectMeta{}.SwaggerDoc()["name"],
		Value:       func(obj T) any { return obj.GetName() },
	}
}

// Age is the last column of most kinds.
func Age[T Object]() Column[T] {
	return Column[T]{
		Name:        "Age",
		Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
		Value:       func(obj T) any { return Since(obj.GetCreationTimestamp()) },
	}
}

// Since writes how long ago a time was as kubectl shows it; "<unknown>" for the zero time.
func Since(t metav1.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t.Time))
}

// CreatedAt is the only column besides the name of kinds that upstream shows without care.
func CreatedAt[T Object]() Column[T] {
	return Column[T]{
		Name: "Created At", Type: "date",
		Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
		Value:       func(obj T) any { return obj.GetCreationTimestamp().UTC().Format(time.RFC3339) },
	}
}

// Text is a column of words.
func Text[T Object](name, description string, value func(T) string) Column[T] {
	return Column[T]{Name: name, Description: description, Value: func(obj T) any { return value(obj) }}
}

// Wide is a column of words shown only with -o wide.
func Wide[T Object](name, description string, value func(T) string) Column[T] {
	c := Text(name, description, value)
	c.Priority = 1
	return c
}

// Number is a column of whole numbers.
func Number[T Object](name, description string, value func(T) int64) Column[T] {
	return Column[T]{Name: name, Type: "integer", Description: description, Value: func(obj T) any { return value(obj) }}
}

// Truth is a column of true and false.
func Truth[T Object](name, description string, value func(T) bool) Column[T] {
	return Column[T]{Name: name, Type: "boolean", Description: description, Value: func(obj T) any { return value(obj) }}
}
