package plugins

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/resource/core"
)

// Where a namespace says which tolerations its Pods get, and which they may have: JSON lists.
const (
	tolerationsAnnotation = "scheduler.alpha.kubernetes.io/defaultTolerations"
	whitelistAnnotation   = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
)

// tolerationLists is podtolerationrestriction.admission.k8s.io/v1alpha1 Configuration: what holds for namespaces that say nothing.
type tolerationLists struct {
	metav1.TypeMeta `json:",inline"`
	Default         []corev1.Toleration `json:"default"`
	Whitelist       []corev1.Toleration `json:"whitelist"`
}

// podTolerations gives Pods the tolerations of their namespace, and refuses those that it does not allow. Off by default.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#podtolerationrestriction
func podTolerations(env *Env) (admission.Plugin, error) {
	t := &namespaceTolerations{env: env}
	const version = "podtolerationrestriction.admission.k8s.io/v1alpha1"
	if _, err := env.Config.Read("PodTolerationRestriction", &t.cluster, "Configuration", version); err != nil {
		return admission.Plugin{}, err
	}
	at := field.NewPath("podtolerationrestriction")
	errs := append(core.Tolerations(t.cluster.Default, at.Child("default")), core.Tolerations(t.cluster.Whitelist, at.Child("whitelist"))...)
	if len(errs) > 0 {
		return admission.Plugin{}, fmt.Errorf("invalid config: %w", errs.ToAggregate())
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Admit: t.admit, Validate: t.validate}, nil
}

type namespaceTolerations struct {
	env     *Env
	cluster tolerationLists
}

// of reads a list from an annotation of the request's namespace. Without the annotation it is the cluster's, and own is false; an empty
// annotation is an empty list.
func (t *namespaceTolerations) of(ctx context.Context, a *admission.Attributes, annotation string, cluster []corev1.Toleration) (list []corev1.Toleration, own bool, err error) {
	namespace, err := t.env.World.Namespace(ctx, a.Namespace)
	if err != nil {
		return nil, false, err
	}
	text, own := namespace.Annotations[annotation]
	if !own {
		return cluster, false, nil
	}
	if text == "" {
		return nil, true, nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, true, fmt.Errorf("namespace %s: annotation %s: %w", namespace.Name, annotation, err)
	}
	if list == nil { // "null" says nothing
		return cluster, false, nil
	}
	return list, true, nil
}

func (t *namespaceTolerations) admit(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !is(a, "", "pods", "") {
		return nil
	}
	var more []corev1.Toleration
	if a.Operation == admission.Create {
		list, _, err := t.of(ctx, a, tolerationsAnnotation, t.cluster.Default)
		if err != nil {
			return err
		}
		more = slices.Clone(list)
	}
	if core.QOSClass(pod) != corev1.PodQOSBestEffort {
		more = append(more, corev1.Toleration{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
	}
	if len(more) > 0 {
		pod.Spec.Tolerations = mergeTolerations(slices.Concat(pod.Spec.Tolerations, more))
		a.Changed("tolerations of the namespace")
	}
	return t.validate(ctx, a)
}

func (t *namespaceTolerations) validate(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !is(a, "", "pods", "") || len(pod.Spec.Tolerations) == 0 {
		return nil
	}
	allowed, own, err := t.of(ctx, a, whitelistAnnotation, t.cluster.Whitelist)
	if err != nil || len(allowed) == 0 {
		return err
	}
	for i := range pod.Spec.Tolerations {
		if !slices.ContainsFunc(allowed, func(w corev1.Toleration) bool { return covers(&w, &pod.Spec.Tolerations[i]) }) {
			return refuse(a, "pod tolerations (possibly merged with namespace default tolerations) conflict with its %s whitelist", scopeOf(own))
		}
	}
	return nil
}

func scopeOf(own bool) string {
	if own {
		return "namespace"
	}
	return "cluster"
}

// mergeTolerations leaves out what another one of the list covers; of equal ones it keeps the first.
func mergeTolerations(all []corev1.Toleration) (kept []corev1.Toleration) {
	for i := range all {
		t := &all[i]
		before := slices.ContainsFunc(kept, func(k corev1.Toleration) bool { return covers(&k, t) })
		after := slices.ContainsFunc(all[i+1:], func(l corev1.Toleration) bool { return covers(&l, t) && !equality.Semantic.DeepEqual(&l, t) })
		if !before && !after {
			kept = append(kept, *t)
		}
	}
	return kept
}

// covers says whether everything that t tolerates is tolerated by wide too, for at least as long.
func covers(wide, t *corev1.Toleration) bool {
	if equality.Semantic.DeepEqual(wide, t) {
		return true
	}
	everyKey := wide.Key == "" && wide.Operator == corev1.TolerationOpExists
	if t.Key != wide.Key && !everyKey || t.Effect != wide.Effect && wide.Effect != "" {
		return false
	}
	if limit := wide.TolerationSeconds; wide.Effect == corev1.TaintEffectNoExecute && limit != nil && (t.TolerationSeconds == nil || *t.TolerationSeconds > *limit) {
		return false
	}
	switch wide.Operator {
	case corev1.TolerationOpExists:
		return true
	case corev1.TolerationOpEqual, "":
		return t.Operator == corev1.TolerationOpEqual && t.Value == wide.Value // upstream wants the operator written out here
	}
	return false
}
