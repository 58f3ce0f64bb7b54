package plugins

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	listers "k8s.io/client-go/listers/scheduling/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/admission"
)

// priority turns the name of a Pod's priority class into its priority. https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
func priority(env *Env) (admission.Plugin, error) {
	p := &priorities{env: env, lister: env.Set.Informers.Scheduling().V1().PriorityClasses().Lister()}
	return admission.Plugin{
		Handles: []admission.Operation{admission.Create, admission.Update, admission.Delete}, Admit: p.admit, Validate: p.validate,
	}, nil
}

type priorities struct {
	env    *Env
	lister listers.PriorityClassLister
}

func (p *priorities) admit(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !is(a, "", "pods", "") || a.Operation == admission.Delete {
		return nil
	}
	if a.Operation == admission.Update {
		old := a.OldObject.(*corev1.Pod)
		if pod.Spec.Priority == nil {
			pod.Spec.Priority = old.Spec.Priority
		}
		if pod.Spec.PreemptionPolicy == nil {
			pod.Spec.PreemptionPolicy = old.Spec.PreemptionPolicy
		}
		return nil
	}
	value, policy, err := p.compute(ctx, a, pod)
	if err != nil {
		return err
	}
	if pod.Spec.Priority != nil && *pod.Spec.Priority != value {
		return apierrors.NewForbidden(groupResource(a), a.Name, fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *pod.Spec.Priority, value))
	}
	if pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy != policy {
		return apierrors.NewForbidden(groupResource(a), a.Name, fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *pod.Spec.PreemptionPolicy, policy))
	}
	if value != 0 {
		a.Changed("priority %d", value)
	}
	pod.Spec.Priority, pod.Spec.PreemptionPolicy = ptr.To(value), ptr.To(policy)
	return nil
}

// compute finds the Pod's class: the one that it names, else the global default, else none.
func (p *priorities) compute(ctx context.Context, a *admission.Attributes, pod *corev1.Pod) (int32, corev1.PreemptionPolicy, error) {
	class := p.byDefault()
	if name := pod.Spec.PriorityClassName; name != "" {
		var err error
		if class, err = p.lister.Get(name); apierrors.IsNotFound(err) && named(name) {
			class, err = p.env.Set.SchedulingV1().PriorityClasses().Get(ctx, name, metav1.GetOptions{})
		}
		if apierrors.IsNotFound(err) {
			return 0, "", apierrors.NewForbidden(groupResource(a), a.Name, fmt.Errorf("no PriorityClass with name %v was found", name))
		}
		if err != nil {
			return 0, "", err
		}
	}
	if class == nil {
		return 0, corev1.PreemptLowerPriority, nil
	}
	pod.Spec.PriorityClassName = class.Name
	policy := corev1.PreemptLowerPriority
	if class.PreemptionPolicy != nil {
		policy = *class.PreemptionPolicy
	}
	return class.Value, policy, nil
}

// byDefault is the global default class; the lowest if, by a race, there are several.
func (p *priorities) byDefault() *schedulingv1.PriorityClass {
	all, err := p.lister.List(labels.Everything())
	if err != nil {
		return nil // listers of informers do not fail
	}
	var found *schedulingv1.PriorityClass
	for _, class := range all {
		if class.GlobalDefault && (found == nil || class.Value < found.Value) {
			found = class
		}
	}
	return found
}

// validate lets there be one global default.
func (p *priorities) validate(ctx context.Context, a *admission.Attributes) error {
	class, ok := a.Object.(*schedulingv1.PriorityClass)
	if !ok || a.Operation == admission.Delete || !class.GlobalDefault {
		return nil
	}
	if found := p.byDefault(); found != nil && found.Name != class.Name {
		return apierrors.NewForbidden(groupResource(a), a.Name, fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", found.Name))
	}
	return nil
}
