package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/resource"
)

// immortal namespaces cannot be deleted.
var immortal = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic}

// namespaceLifecycle refuses new content in namespaces that are not there or on their way out.
func namespaceLifecycle(env *Env) (admission.Plugin, error) {
	lister := env.Set.Informers.Core().V1().Namespaces().Lister()
	find := func(ctx context.Context, name string) (*corev1.Namespace, error) {
		// The informer may be a moment behind: what it does not know, or knows as ending, is asked for.
		if namespace, err := lister.Get(name); err == nil && namespace.Status.Phase != corev1.NamespaceTerminating {
			return namespace, nil
		}
		return env.Set.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	}
	check := func(ctx context.Context, a *admission.Attributes) error {
		if is(a, "", "namespaces", "") {
			if a.Operation == admission.Delete && slices.Contains(immortal, a.Name) {
				return apierrors.NewForbidden(groupResource(a), a.Name, errors.New("this namespace may not be deleted"))
			}
			return nil
		}
		if a.Scope != resource.Namespaced || a.Namespace == "" || a.Operation == admission.Delete || is(a, "authorization.k8s.io", "localsubjectaccessreviews", "") {
			return nil
		}
		namespace, err := find(ctx, a.Namespace)
		if err != nil {
			return err
		}
		if a.Operation != admission.Create || a.Subresource != "" || namespace.Status.Phase != corev1.NamespaceTerminating {
			return nil
		}
		return terminating(a)
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update, admission.Delete}, Admit: check}, nil
}

// terminating carries a cause by which controllers know that trying again is of no use.
func terminating(a *admission.Attributes) error {
	err := apierrors.NewForbidden(groupResource(a), a.Name, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", a.Namespace))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type: corev1.NamespaceTerminatingCause, Message: fmt.Sprintf("namespace %s is being terminated", a.Namespace), Field: "metadata.namespace",
	})
	return err
}
