package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	listers "k8s.io/client-go/listers/core/v1"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/resource/quota"
)

// limitAnnotation tells the reader of a Pod which amounts it did not bring itself.
const limitAnnotation = "kubernetes.io/limit-ranger"

// limitRanger gives containers the amounts that their namespace's LimitRanges have for those who ask for none, and refuses
// Pods and claims outside of the ranges. https://kubernetes.io/docs/concepts/policy/limit-range/
func limitRanger(env *Env) (admission.Plugin, error) {
	r := &ranges{lister: env.Set.Informers.Core().V1().LimitRanges().Lister()}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Admit: r.admit, Validate: r.validate}, nil
}

type ranges struct{ lister listers.LimitRangeLister }

// of returns the LimitRanges that a request is measured by, in the order of their names. What Pods ask for changes by a resize only.
func (r *ranges) of(a *admission.Attributes) ([]*corev1.LimitRange, error) {
	pod := is(a, "", "pods", "") && a.Operation == admission.Create || is(a, "", "pods", "resize") && a.Operation == admission.Update
	if !pod && !is(a, "", "persistentvolumeclaims", "") {
		return nil, nil
	}
	all, err := r.lister.LimitRanges(a.Namespace).List(labels.Everything())
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	all = slices.DeleteFunc(all, func(l *corev1.LimitRange) bool { return l.DeletionTimestamp != nil })
	slices.SortFunc(all, func(a, b *corev1.LimitRange) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (r *ranges) admit(_ context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || a.Operation != admission.Create {
		return nil
	}
	all, err := r.of(a)
	if err != nil {
		return err
	}
	for _, l := range all {
		if set := fillIn(pod, l); len(set) > 0 {
			text := "LimitRanger plugin set: " + strings.Join(set, "; ")
			if pod.Annotations == nil {
				pod.Annotations = map[string]string{}
			}
			pod.Annotations[limitAnnotation] = text
			a.Changed("%s", strings.Join(set, "; "))
		}
	}
	return nil
}

// fillIn gives containers what a LimitRange has for them, and says what it did.
func fillIn(pod *corev1.Pod, l *corev1.LimitRange) []string {
	var set []string
	for i := range l.Spec.Limits {
		item := &l.Spec.Limits[i]
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		for _, group := range []struct {
			containers []corev1.Container
			kind       string
		}{{pod.Spec.Containers, "container"}, {pod.Spec.InitContainers, "init container"}} {
			for j := range group.containers {
				c := &group.containers[j]
				if names := merge(&c.Resources.Requests, item.DefaultRequest); names != "" {
					set = append(set, fmt.Sprintf("%s request for %s %s", names, group.kind, c.Name))
				}
				if names := merge(&c.Resources.Limits, item.Default); names != "" {
					set = append(set, fmt.Sprintf("%s limit for %s %s", names, group.kind, c.Name))
				}
			}
		}
	}
	return set
}

// merge adds what list lacks, and returns the names.
func merge(list *corev1.ResourceList, defaults corev1.ResourceList) string {
	var added []string
	for _, name := range quota.Names(defaults) {
		if _, found := (*list)[name]; found {
			continue
		}
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = defaults[name].DeepCopy()
		added = append(added, string(name))
	}
	return strings.Join(added, ", ")
}

func (r *ranges) validate(_ context.Context, a *admission.Attributes) error {
	all, err := r.of(a)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range all {
		for i := range l.Spec.Limits {
			item := &l.Spec.Limits[i]
			switch object := a.Object.(type) {
			case *corev1.Pod:
				errs = append(errs, podRange(item, object)...)
			case *corev1.PersistentVolumeClaim:
				if item.Type == corev1.LimitTypePersistentVolumeClaim {
					errs = append(errs, claimRange(item, object.Spec.Resources.Requests)...)
				}
			}
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return forbidden(a, utilerrors.NewAggregate(errs))
}

func podRange(item *corev1.LimitRangeItem, pod *corev1.Pod) []error {
	switch item.Type {
	case corev1.LimitTypePod:
		return within(item, quota.Requests(pod), quota.Limits(pod))
	case corev1.LimitTypeContainer:
		var errs []error
		for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range containers {
				errs = append(errs, within(item, containers[i].Resources.Requests, containers[i].Resources.Limits)...)
			}
		}
		return errs
	}
	return nil
}

// claimRange measures what a claim asks for: claims have no limits.
func claimRange(item *corev1.LimitRangeItem, requests corev1.ResourceList) []error {
	var errs []error
	for _, name := range quota.Names(item.Min) {
		errs = append(errs, atLeast(name, item, requests, nil))
	}
	for _, name := range quota.Names(item.Max) {
		request, asked := requests[name]
		most := item.Max[name]
		switch {
		case !asked:
			errs = append(errs, fmt.Errorf("maximum %s usage per %s is %s.  No request is specified", name, item.Type, most.String()))
		case request.Cmp(most) > 0:
			errs = append(errs, fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, item.Type, most.String(), request.String()))
		}
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// within returns all by which requests and limits are outside of a range.
func within(item *corev1.LimitRangeItem, requests, limits corev1.ResourceList) []error {
	var errs []error
	for _, name := range quota.Names(item.Min) {
		errs = append(errs, atLeast(name, item, requests, limits))
	}
	for _, name := range quota.Names(item.Max) {
		errs = append(errs, atMost(name, item, requests, limits))
	}
	for _, name := range quota.Names(item.MaxLimitRequestRatio) {
		errs = append(errs, inRatio(name, item, requests, limits))
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

func atLeast(name corev1.ResourceName, item *corev1.LimitRangeItem, requests, limits corev1.ResourceList) error {
	least := item.Min[name]
	request, asked := requests[name]
	limit, limited := limits[name]
	switch {
	case !asked:
		return fmt.Errorf("minimum %s usage per %s is %s.  No request is specified", name, item.Type, least.String())
	case request.Cmp(least) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but request is %s", name, item.Type, least.String(), request.String())
	case limited && limit.Cmp(least) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but limit is %s", name, item.Type, least.String(), limit.String())
	}
	return nil
}

func atMost(name corev1.ResourceName, item *corev1.LimitRangeItem, requests, limits corev1.ResourceList) error {
	most := item.Max[name]
	request, asked := requests[name]
	limit, limited := limits[name]
	switch {
	case !limited:
		return fmt.Errorf("maximum %s usage per %s is %s.  No limit is specified", name, item.Type, most.String())
	case limit.Cmp(most) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but limit is %s", name, item.Type, most.String(), limit.String())
	case asked && request.Cmp(most) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, item.Type, most.String(), request.String())
	}
	return nil
}

func inRatio(name corev1.ResourceName, item *corev1.LimitRangeItem, requests, limits corev1.ResourceList) error {
	most := item.MaxLimitRequestRatio[name]
	what := fmt.Sprintf("%s max limit to request ratio per %s is %s, but ", name, item.Type, most.String())
	request, limit := requests[name], limits[name]
	switch {
	case request.IsZero():
		return errors.New(what + "no request is specified or request is 0")
	case limit.IsZero():
		return errors.New(what + "no limit is specified or limit is 0")
	}
	if ratio := limit.AsApproximateFloat64() / request.AsApproximateFloat64(); ratio > most.AsApproximateFloat64() {
		return fmt.Errorf("%sprovided ratio is %f", what, ratio)
	}
	return nil
}
