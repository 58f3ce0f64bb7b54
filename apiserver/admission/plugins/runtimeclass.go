package plugins

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	listers "k8s.io/client-go/listers/node/v1"

	"github.com/septet-io/septet/apiserver/admission"
)

// runtimeClass gives Pods the overhead of the runtime that they ask for, and sends them to the nodes that have it.
// https://kubernetes.io/docs/concepts/containers/runtime-class/
func runtimeClass(env *Env) (admission.Plugin, error) {
	r := &runtimes{env: env, lister: env.Set.Informers.Node().V1().RuntimeClasses().Lister()}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Admit: r.admit, Validate: r.validate}, nil
}

type runtimes struct {
	env    *Env
	lister listers.RuntimeClassLister
}

// of returns a Pod's class; nil if it asks for none.
func (r *runtimes) of(ctx context.Context, a *admission.Attributes, pod *corev1.Pod) (*nodev1.RuntimeClass, error) {
	if pod.Spec.RuntimeClassName == nil {
		return nil, nil
	}
	name := *pod.Spec.RuntimeClassName
	class, err := r.lister.Get(name)
	if apierrors.IsNotFound(err) && named(name) {
		class, err = r.env.Set.NodeV1().RuntimeClasses().Get(ctx, name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil, forbidden(a, fmt.Errorf("pod rejected: RuntimeClass %q not found", name))
	}
	return class, err
}

func (r *runtimes) admit(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !is(a, "", "pods", "") {
		return nil
	}
	class, err := r.of(ctx, a, pod)
	if err != nil || class == nil {
		return err
	}
	if class.Overhead != nil {
		if pod.Spec.Overhead != nil && !equality.Semantic.DeepEqual(pod.Spec.Overhead, class.Overhead.PodFixed) {
			return forbidden(a, errors.New("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"))
		}
		pod.Spec.Overhead = class.Overhead.PodFixed.DeepCopy()
		a.Changed("overhead of runtime class %s", class.Name)
	}
	if class.Scheduling == nil {
		return nil
	}
	return r.steer(a, pod, class)
}

// steer adds the class's node selector and tolerations to the Pod's.
func (r *runtimes) steer(a *admission.Attributes, pod *corev1.Pod, class *nodev1.RuntimeClass) error {
	for key, value := range class.Scheduling.NodeSelector {
		if own, found := pod.Spec.NodeSelector[key]; found && own != value {
			return forbidden(a, fmt.Errorf("conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", key, value, key, own))
		}
		if pod.Spec.NodeSelector == nil {
			pod.Spec.NodeSelector = map[string]string{}
		}
		pod.Spec.NodeSelector[key] = value
	}
	for i := range class.Scheduling.Tolerations {
		addToleration(pod, class.Scheduling.Tolerations[i])
	}
	return nil
}

// addToleration adds one that the Pod lacks.
func addToleration(pod *corev1.Pod, toleration corev1.Toleration) {
	for i := range pod.Spec.Tolerations {
		if equality.Semantic.DeepEqual(pod.Spec.Tolerations[i], toleration) {
			return
		}
	}
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, toleration)
}

// validate: overhead is the class's to say, not the Pod's.
func (r *runtimes) validate(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !is(a, "", "pods", "") {
		return nil
	}
	class, err := r.of(ctx, a, pod)
	if err != nil {
		return err
	}
	if class == nil || class.Overhead == nil {
		if pod.Spec.Overhead != nil {
			return forbidden(a, errors.New("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"))
		}
		return nil
	}
	if !equality.Semantic.DeepEqual(pod.Spec.Overhead, class.Overhead.PodFixed) {
		return forbidden(a, errors.New("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"))
	}
	return nil
}
