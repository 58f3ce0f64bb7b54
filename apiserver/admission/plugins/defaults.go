package plugins

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/resource"
)

// tolerationSeconds is for how long Pods stay on a node that went away, unless they or the server's flags say otherwise.
const tolerationSeconds = 300

// defaultTolerations lets Pods stay for a while on a node that is not ready or not reachable.
func defaultTolerations(env *Env) (admission.Plugin, error) {
	patience := map[string]int64{
		corev1.TaintNodeNotReady:    ptr.Deref(env.NotReadySeconds, tolerationSeconds),
		corev1.TaintNodeUnreachable: ptr.Deref(env.UnreachableSeconds, tolerationSeconds),
	}
	admit := func(_ context.Context, a *admission.Attributes) error {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !is(a, "", "pods", "") {
			return nil
		}
		for _, taint := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
			tolerated := slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool {
				return (t.Key == taint || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
			})
			if !tolerated {
				pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
					Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To(patience[taint]),
				})
				a.Changed("tolerates %s for %d s", taint, patience[taint])
			}
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Admit: admit}, nil
}

// taintNodesByCondition keeps Pods away from a new Node until somebody has seen that it is ready.
func taintNodesByCondition(*Env) (admission.Plugin, error) {
	taint := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
	admit := func(_ context.Context, a *admission.Attributes) error {
		node, ok := a.Object.(*corev1.Node)
		if !ok || !is(a, "", "nodes", "") {
			return nil
		}
		if !slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
			node.Spec.Taints = append(node.Spec.Taints, taint)
			a.Changed("taint %s", taint.Key)
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Admit: admit}, nil
}

// protections are finalizers that hold storage objects while something uses them.
var protections = map[string]string{
	"persistentvolumeclaims":  "kubernetes.io/pvc-protection",
	"persistentvolumes":       "kubernetes.io/pv-protection",
	"volumeattributesclasses": "kubernetes.io/vac-protection",
}

// storageInUse adds the finalizer that a controller takes away when an object is no longer used.
func storageInUse(*Env) (admission.Plugin, error) {
	admit := func(_ context.Context, a *admission.Attributes) error {
		finalizer, ok := protections[a.Resource.Resource]
		object, isObject := a.Object.(resource.Object)
		if !ok || !isObject || a.Subresource != "" || a.Resource.Group != "" && a.Resource.Group != storagev1.GroupName {
			return nil
		}
		if finalizers := object.GetFinalizers(); !slices.Contains(finalizers, finalizer) {
			object.SetFinalizers(append(finalizers, finalizer))
			a.Changed("finalizer %s", finalizer)
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Admit: admit}, nil
}

// defaultStorageClass gives claims without a class the default one; the newest if there are several.
func defaultStorageClass(env *Env) (admission.Plugin, error) {
	lister := env.Set.Informers.Storage().V1().StorageClasses().Lister()
	admit := func(_ context.Context, a *admission.Attributes) error {
		claim, ok := a.Object.(*corev1.PersistentVolumeClaim)
		if !ok || !is(a, "", "persistentvolumeclaims", "") || claim.Spec.StorageClassName != nil {
			return nil
		}
		if _, beta := claim.Annotations[corev1.BetaStorageClassAnnotation]; beta {
			return nil
		}
		all, err := lister.List(labels.Everything())
		if err != nil {
			return apierrors.NewInternalError(err)
		}
		var found *storagev1.StorageClass
		for _, class := range all {
			if isDefault(class.Annotations, "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class") && newer(class, found) {
				found = class
			}
		}
		if found != nil {
			claim.Spec.StorageClassName = &found.Name
			a.Changed("storage class %s", found.Name)
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Admit: admit}, nil
}

func isDefault(annotations map[string]string, keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return annotations[key] == "true" })
}

// newer orders by creation, then by name.
func newer(class, than *storagev1.StorageClass) bool {
	if than == nil {
		return true
	}
	if class.CreationTimestamp.Equal(&than.CreationTimestamp) {
		return class.Name < than.Name
	}
	return than.CreationTimestamp.Before(&class.CreationTimestamp)
}

// defaultIngressClass gives Ingresses without a class the default one. Several defaults are refused.
func defaultIngressClass(env *Env) (admission.Plugin, error) {
	lister := env.Set.Informers.Networking().V1().IngressClasses().Lister()
	admit := func(_ context.Context, a *admission.Attributes) error {
		ingress, ok := a.Object.(*networkingv1.Ingress)
		if !ok || !is(a, networkingv1.GroupName, "ingresses", "") || ingress.Spec.IngressClassName != nil {
			return nil
		}
		if _, old := ingress.Annotations["kubernetes.io/ingress.class"]; old {
			return nil
		}
		all, err := lister.List(labels.Everything())
		if err != nil {
			return apierrors.NewInternalError(err)
		}
		var found []*networkingv1.IngressClass
		for _, class := range all {
			if isDefault(class.Annotations, networkingv1.AnnotationIsDefaultIngressClass) {
				found = append(found, class)
			}
		}
		if len(found) == 0 {
			return nil
		}
		if len(found) > 1 {
			slices.SortFunc(found, func(a, b *networkingv1.IngressClass) int {
				return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
			})
			if found[0].CreationTimestamp.Equal(&found[1].CreationTimestamp) {
				return apierrors.NewForbidden(groupResource(a), a.Name, errors.New("2 or more default IngressClasses were found that are equally new; only 1 allowed"))
			}
		}
		ingress.Spec.IngressClassName = &found[0].Name
		a.Changed("ingress class %s", found[0].Name)
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Admit: admit}, nil
}
