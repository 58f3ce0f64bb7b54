package client

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Poster is what the transport of a client in the API server's process offers besides. Building an HTTP request and reading an answer that
// nobody wants cost more than many a write itself.
type Poster interface {
	// Post does what a POST of obj to a path does, with the user and the checks of any other request, and returns its error as an
	// apierrors.APIStatus. obj has its TypeMeta set and is read before Post returns; its kind has a protobuf form.
	Post(ctx context.Context, path string, obj runtime.Object) error
}

// Bind assigns a Pod to a node: the binding names both. It has the errors of a create.
func (s *Set) Bind(ctx context.Context, binding *corev1.Binding) error {
	binding.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Binding"}
	path := "/api/v1/namespaces/" + binding.Namespace + "/pods/" + binding.Name + "/binding"
	return s.post(ctx, path, binding, func() error {
		return s.CoreV1().Pods(binding.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	})
}

// CreatePod creates a Pod in its namespace, for who does not need to see what the API server made of it.
func (s *Set) CreatePod(ctx context.Context, pod *corev1.Pod) error {
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	return s.post(ctx, "/api/v1/namespaces/"+pod.Namespace+"/pods", pod, func() error {
		_, err := s.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
}

// Record creates an Event in its namespace.
func (s *Set) Record(ctx context.Context, event *eventsv1.Event) error {
	event.TypeMeta = metav1.TypeMeta{APIVersion: "events.k8s.io/v1", Kind: "Event"}
	return s.post(ctx, "/apis/events.k8s.io/v1/namespaces/"+event.Namespace+"/events", event, func() error {
		_, err := s.EventsV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
		return err
	})
}

// post takes the short way where there is one. A server that asks to come back later gets the client that knows how to.
func (s *Set) post(ctx context.Context, path string, obj runtime.Object, typed func() error) error {
	if s.direct == nil {
		return typed()
	}
	err := s.direct.Post(ctx, path, obj)
	if _, later := apierrors.SuggestsClientDelay(err); later {
		return typed()
	}
	return err
}
