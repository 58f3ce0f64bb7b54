package plugin

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// Env is what a plugin is made with. In pure decisions (tests, dry runs) Client and Informers are nil.
type Env struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	// Bind takes a binding to the API.
	Bind func(context.Context, *corev1.Binding) error
	// Budgets lists the disruption budgets of a namespace; nil means that there are none.
	Budgets func(namespace string) []*policyv1.PodDisruptionBudget
	// Evict removes victims for a preemptor, outside of the decision, and calls done on the deciding goroutine when all have been told,
	// with failed if one could not be; nil in dry runs.
	Evict func(preemptor *corev1.Pod, node, profile string, victims Victims, done func(failed bool))
	// Events records an event about a pod.
	Record func(pod *corev1.Pod, eventType, reason, action, note string)
	// Ignored resources are left to extenders.
	IgnoredResources map[string]bool
	// Answer decides about a pod that the named Permit plugin made wait: nil lets it go on. It may be called from anywhere.
	Answer func(uid types.UID, plugin string, status *Status)
	// Cleanup has f called when the plugin is used no more; nil in dry runs.
	Cleanup func(f func())
	// Do calls f on the deciding goroutine.
	Do func(f func())
}

// Selects parses a budget's selector: nil and invalid ones choose nothing.
func Selects(budget *policyv1.PodDisruptionBudget, podLabels map[string]string) bool {
	if budget.Spec.Selector == nil {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil || selector.Empty() {
		return false
	}
	return selector.Matches(labels.Set(podLabels))
}
