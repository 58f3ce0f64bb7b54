package plugins

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/admission"
)

// alwaysAdmit does nothing; it is there for those who name it.
func alwaysAdmit(*Env) (admission.Plugin, error) { return admission.Plugin{}, nil }

// alwaysDeny refuses everything that changes something.
func alwaysDeny(*Env) (admission.Plugin, error) {
	refuse := func(_ context.Context, a *admission.Attributes) error {
		return forbidden(a, errors.New("admission control is denying all modifications"))
	}
	return admission.Plugin{Admit: refuse, Validate: refuse}, nil
}

// namespaceAutoProvision makes namespaces that things are created in.
func namespaceAutoProvision(env *Env) (admission.Plugin, error) {
	admit := func(ctx context.Context, a *admission.Attributes) error {
		if a.DryRun || a.Namespace == "" {
			return nil
		}
		_, err := env.World.Namespace(ctx, a.Namespace)
		if !apierrors.IsNotFound(err) {
			return err
		}
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a.Namespace}}
		_, err = env.Set.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return forbidden(a, err)
		}
		a.Changed("made the namespace %s", a.Namespace)
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Admit: admit}, nil
}

// namespaceExists refuses what is in namespaces that are not there.
func namespaceExists(env *Env) (admission.Plugin, error) {
	validate := func(ctx context.Context, a *admission.Attributes) error {
		if a.Namespace == "" {
			return nil
		}
		_, err := env.World.Namespace(ctx, a.Namespace)
		if err != nil && !apierrors.IsNotFound(err) {
			return apierrors.NewInternalError(err)
		}
		return err
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update, admission.Delete}, Validate: validate}, nil
}

// limitAntiAffinity keeps Pods from claiming more than a node for themselves.
func limitAntiAffinity(*Env) (admission.Plugin, error) {
	validate := func(_ context.Context, a *admission.Attributes) error {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !is(a, "", "pods", "") || pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
			return nil
		}
		for _, term := range pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			if term.TopologyKey != corev1.LabelHostname {
				return forbidden(a, fmt.Errorf("affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey %v but only key %v is allowed",
					term.TopologyKey, corev1.LabelHostname))
			}
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Validate: validate}, nil
}
