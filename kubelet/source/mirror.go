package source

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/kubelet/spec"
)

// MirrorOf says whether object is the mirror of the static pod as it now is.
func MirrorOf(pod, object *v1.Pod) bool {
	return object.Annotations[spec.AnnotationConfigMirror] == pod.Annotations[spec.AnnotationConfigHash] &&
		object.Annotations[spec.AnnotationConfigHash] == pod.Annotations[spec.AnnotationConfigHash]
}

// CreateMirror makes a static pod visible in the API. The node owns the mirror, so
// that it goes when the node does. There being one already is no error.
func CreateMirror(ctx context.Context, client kubernetes.Interface, pod *v1.Pod, node *v1.Node) error {
	mirror := pod.DeepCopy()
	mirror.UID = ""
	mirror.ResourceVersion = ""
	mirror.Annotations[spec.AnnotationConfigMirror] = pod.Annotations[spec.AnnotationConfigHash]
	mirror.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: ptr.To(true),
	}}
	_, err := client.CoreV1().Pods(mirror.Namespace).Create(ctx, mirror, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("mirror of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// DeleteMirror removes a mirror that stands for nothing any more.
func DeleteMirror(ctx context.Context, client kubernetes.Interface, mirror *v1.Pod) error {
	options := metav1.NewDeleteOptions(0)
	options.Preconditions = metav1.NewUIDPreconditions(string(mirror.UID))
	err := client.CoreV1().Pods(mirror.Namespace).Delete(ctx, mirror.Name, *options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("mirror %s/%s: %w", mirror.Namespace, mirror.Name, err)
	}
	return nil
}
