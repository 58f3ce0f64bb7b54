package pods

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Writer creates, patches and deletes Pods on behalf of their owners and tells of it by events on the owner.
type Writer struct {
	Client kubernetes.Interface
	Events record.EventRecorder
}

// FromTemplate returns the Pod that a template describes, owned through ref. Its name is generated from the owner's.
func FromTemplate(template *corev1.PodTemplateSpec, owner metav1.Object, ref metav1.OwnerReference) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       owner.GetNamespace(),
			Labels:          maps.Clone(template.Labels),
			Annotations:     maps.Clone(template.Annotations),
			Finalizers:      slices.Clone(template.Finalizers),
			GenerateName:    prefix(owner.GetName()),
			OwnerReferences: []metav1.OwnerReference{ref},
		},
	}
	template.Spec.DeepCopyInto(&pod.Spec)
	return pod
}

// prefix ends in a dash where a Pod may be called so.
func prefix(owner string) string {
	if len(validation.IsDNS1123Subdomain(owner+"-a")) != 0 {
		return owner
	}
	return owner + "-"
}

// Create creates a Pod for its owner. Events: SuccessfulCreate or FailedCreate.
func (w *Writer) Create(ctx context.Context, owner runtime.Object, pod *corev1.Pod) (*corev1.Pod, error) {
	if len(pod.Labels) == 0 {
		return nil, errors.New("unable to create pods, no labels")
	}
	made, err := w.Client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		// In a namespace that goes away every creation fails; that is no news.
		if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			w.Events.Eventf(owner, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
		}
		return nil, err
	}
	reconcile.Note(ctx, journal.Record{Step: "create", Kind: "Pod", Namespace: made.Namespace, Name: made.Name, UID: made.UID, Made: made.ResourceVersion})
	w.Events.Eventf(owner, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %v", made.Name)
	return made, nil
}

// Delete deletes a Pod if it still is the one given (by UID). A Pod that is gone already yields NotFound, without an event.
// Events: SuccessfulDelete or FailedDelete.
func (w *Writer) Delete(ctx context.Context, owner runtime.Object, pod *corev1.Pod) error {
	err := w.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *metav1.NewPreconditionDeleteOptions(string(pod.UID)))
	switch {
	case apierrors.IsConflict(err): // another Pod of the same name: ours is gone
		return apierrors.NewNotFound(corev1.Resource("pods"), pod.Name)
	case apierrors.IsNotFound(err):
		return err
	case err != nil:
		w.Events.Eventf(owner, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
		return fmt.Errorf("unable to delete pods: %w", err)
	}
	reconcile.Note(ctx, journal.Record{Step: "delete", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID})
	w.Events.Eventf(owner, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %v", pod.Name)
	return nil
}

// Patch writes a strategic merge patch to a Pod; it fits own.Claim.
func (w *Writer) Patch(ctx context.Context, pod *corev1.Pod, patch []byte) error {
	_, err := w.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	return err
}
