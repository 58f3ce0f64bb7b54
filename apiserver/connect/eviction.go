package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

var evictionKind = schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "Eviction"}

// maxDisrupted bounds the evictions that a budget's controller has not yet seen, as upstream.
const maxDisrupted = 2000

// evict deletes a Pod if its disruption budgets allow. https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
func (c *connector) evict(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	if err := allowMethods(r, conn, http.MethodPost); err != nil {
		return err
	}
	eviction := &policyv1.Eviction{}
	if err := readEviction(r, eviction); err != nil {
		return err
	}
	if eviction.Name != "" && eviction.Name != conn.Key.Name {
		return apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	if eviction.Namespace != "" && eviction.Namespace != conn.Key.Namespace {
		return apierrors.NewBadRequest("namespace in URL does not match namespace in Eviction object")
	}
	options := eviction.DeleteOptions.DeepCopy()
	if options == nil {
		options = &metav1.DeleteOptions{}
	}
	if dry := request.Query(r)["dryRun"]; len(dry) > 0 {
		options.DryRun = dry
	}
	attributes := &admission.Attributes{
		Operation: admission.Create, Kind: evictionKind, Object: eviction, DryRun: len(options.DryRun) > 0,
		Options: &metav1.CreateOptions{DryRun: options.DryRun},
	}
	if err := conn.Resource.Admit(r, attributes); err != nil {
		return err
	}
	if err := c.disrupt(r.Context(), conn.Key, options); err != nil {
		return err
	}
	request.Write(w, r, http.StatusCreated, statusKind, &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated})
	return nil
}

// readEviction takes both versions of the body; they have the same fields.
func readEviction(r *http.Request, eviction *policyv1.Eviction) error {
	err := rest.Body(r, eviction, evictionKind)
	if err != nil && eviction.APIVersion == "policy/v1beta1" {
		eviction.APIVersion = "policy/v1"
		return nil
	}
	return err
}

// disrupt takes one disruption from the Pod's budget, where it has one, and deletes the Pod.
func (c *connector) disrupt(ctx context.Context, key store.Key, options *metav1.DeleteOptions) error {
	pods := c.resources.Get(podsResource)
	pod, err := get[*corev1.Pod](ctx, c, podsResource, key, "")
	if err != nil {
		return err
	}
	if pre := options.Preconditions; pre != nil && pre.UID != nil && *pre.UID != pod.UID {
		return apierrors.NewConflict(pods.GroupResource(), key.Name, fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", *pre.UID, pod.UID))
	}
	if pre := options.Preconditions; pre != nil && pre.ResourceVersion != nil && *pre.ResourceVersion != pod.ResourceVersion {
		return apierrors.NewConflict(pods.GroupResource(), key.Name, fmt.Errorf("Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", *pre.ResourceVersion, pod.ResourceVersion))
	}
	if !needsBudget(pod) {
		_, err = pods.Delete(ctx, key, options)
		return err
	}
	budgets, err := c.budgetsOf(ctx, pod)
	if err != nil {
		return err
	}
	switch len(budgets) {
	case 0:
	case 1:
		if unhealthyMayGo(pod, budgets[0]) {
			options = atVersion(options, pod)
			break
		}
		if err := c.take(ctx, budgets[0], pod, len(options.DryRun) > 0); err != nil {
			return err
		}
	default:
		return apierrors.NewInternalError(errors.New("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."))
	}
	if len(options.DryRun) == 0 {
		if options, err = c.markDisrupted(ctx, key, pod, options); err != nil {
			return err
		}
	}
	_, err = pods.Delete(ctx, key, options)
	return err
}

// needsBudget is false for Pods that are over, not yet running or already on their way out.
func needsBudget(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending:
		return false
	}
	return pod.DeletionTimestamp == nil
}

func (c *connector) budgetsOf(ctx context.Context, pod *corev1.Pod) ([]*policyv1.PodDisruptionBudget, error) {
	page, err := c.resources.Get(budgetsResource).Open().List(ctx, store.Query{Namespace: pod.Namespace})
	if err != nil {
		return nil, err
	}
	var found []*policyv1.PodDisruptionBudget
	for _, item := range page.Items {
		budget, ok := item.Object.(*policyv1.PodDisruptionBudget)
		if !ok {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err != nil {
			continue // such a budget selects nothing
		}
		if selector.Matches(labels.Set(pod.Labels)) {
			found = append(found, budget)
		}
	}
	return found, nil
}

// unhealthyMayGo says whether a Pod that is not ready may be evicted without using up the budget.
func unhealthyMayGo(pod *corev1.Pod, budget *policyv1.PodDisruptionBudget) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return false
		}
	}
	if policy := budget.Spec.UnhealthyPodEvictionPolicy; policy != nil && *policy == policyv1.AlwaysAllow {
		return true
	}
	return budget.Status.CurrentHealthy >= budget.Status.DesiredHealthy && budget.Status.DesiredHealthy > 0
}

// atVersion ties a deletion to the Pod as it was looked at: it may have become ready since.
func atVersion(options *metav1.DeleteOptions, pod *corev1.Pod) *metav1.DeleteOptions {
	tied := options.DeepCopy()
	if tied.Preconditions == nil {
		tied.Preconditions = &metav1.Preconditions{}
	}
	if tied.Preconditions.ResourceVersion == nil {
		tied.Preconditions.ResourceVersion = &pod.ResourceVersion
	}
	return tied
}

// take uses up one disruption of a budget. TooManyRequests (429) if there is none left.
func (c *connector) take(ctx context.Context, budget *policyv1.PodDisruptionBudget, pod *corev1.Pod, dry bool) error {
	resources := c.resources.Get(budgetsResource)
	key := store.Key{Namespace: budget.Namespace, Name: budget.Name}
	change := func(current *store.Item) (resource.Object, time.Duration, error) {
		latest, ok := current.Object.(*policyv1.PodDisruptionBudget)
		if !ok {
			return nil, 0, apierrors.NewInternalError(fmt.Errorf("budgets are stored as %T", current.Object))
		}
		taken, err := oneLess(latest, pod.Name)
		return taken, 0, err
	}
	if dry {
		_, err := oneLess(budget, pod.Name)
		return err
	}
	_, _, err := resources.Open().Update(ctx, key, nil, false, change)
	return err
}

func oneLess(budget *policyv1.PodDisruptionBudget, pod string) (*policyv1.PodDisruptionBudget, error) {
	status := &budget.Status
	forbidden := func(text string) error {
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), budget.Name, errors.New(text))
	}
	switch {
	case status.ObservedGeneration < budget.Generation:
		return nil, tooMany(budget.Name, 10, "Cannot evict pod as it would violate the pod's disruption budget.",
			fmt.Sprintf("The disruption budget %s is still being processed by the server.", budget.Name))
	case status.DisruptionsAllowed < 0:
		return nil, forbidden("pdb disruptions allowed is negative")
	case len(status.DisruptedPods) > maxDisrupted:
		return nil, forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller")
	case status.DisruptionsAllowed == 0:
		return nil, tooMany(budget.Name, 0, "Cannot evict pod as it would violate the pod's disruption budget.",
			fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", budget.Name, status.DesiredHealthy, status.CurrentHealthy))
	}
	taken := budget.DeepCopy()
	taken.Status.DisruptionsAllowed--
	if taken.Status.DisruptionsAllowed == 0 {
		for i := range taken.Status.Conditions {
			if condition := &taken.Status.Conditions[i]; condition.Type == policyv1.DisruptionAllowedCondition {
				condition.Status, condition.Reason = metav1.ConditionFalse, policyv1.InsufficientPodsReason
				condition.LastTransitionTime, condition.ObservedGeneration = metav1.Now(), status.ObservedGeneration
			}
		}
	}
	if taken.Status.DisruptedPods == nil {
		taken.Status.DisruptedPods = map[string]metav1.Time{}
	}
	taken.Status.DisruptedPods[pod] = metav1.Now()
	return taken, nil
}

// tooMany is upstream's answer: 429 with a cause that clients recognize.
func tooMany(budget string, retry int, message, cause string) error {
	err := apierrors.NewTooManyRequests(message, retry)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: cause})
	return err
}

// markDisrupted notes on the Pod why it goes, for controllers that count failures. A deletion that is tied to the version before is
// tied to the one that this makes.
func (c *connector) markDisrupted(ctx context.Context, key store.Key, pod *corev1.Pod, options *metav1.DeleteOptions) (*metav1.DeleteOptions, error) {
	pods := c.resources.Get(podsResource)
	pre := &store.Preconditions{UID: &pod.UID}
	tied := options.Preconditions != nil && options.Preconditions.ResourceVersion != nil
	if tied {
		pre.ResourceVersion = options.Preconditions.ResourceVersion
	}
	item, _, err := pods.Open().Update(ctx, key, pre, false, func(current *store.Item) (resource.Object, time.Duration, error) {
		latest, ok := current.Object.(*corev1.Pod)
		if !ok {
			return nil, 0, apierrors.NewInternalError(fmt.Errorf("pods are stored as %T", current.Object))
		}
		marked := *latest
		marked.Status.Conditions = nil
		for _, condition := range latest.Status.Conditions {
			if condition.Type != corev1.DisruptionTarget {
				marked.Status.Conditions = append(marked.Status.Conditions, condition)
			}
		}
		marked.Status.Conditions = append(marked.Status.Conditions, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
			Message: "Eviction API: evicting", LastTransitionTime: metav1.Now(), ObservedGeneration: latest.Generation,
		})
		return &marked, 0, nil
	})
	if err != nil || !tied {
		return options, err
	}
	options, version := options.DeepCopy(), item.Object.GetResourceVersion()
	options.Preconditions.ResourceVersion = &version
	return options, nil
}
