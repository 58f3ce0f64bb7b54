package disruption

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/septet-io/septet/controllers/pods"
)

// deletionTimeout is how long a Pod whose eviction was allowed may take until it is being deleted. After that it counts again.
const deletionTimeout = 2 * time.Minute

// Snapshot is all that a budget's status depends on.
type Snapshot struct {
	Budget *policyv1.PodDisruptionBudget
	// Pods are those that the budget selects.
	Pods []*corev1.Pod
	// Scale is how many Pods their controllers want together; read only where the budget counts in parts of it.
	Scale int
	Now   time.Time
}

// Result is what follows from a Snapshot.
type Result struct {
	Status policyv1.PodDisruptionBudgetStatus
	// Late are Pods that an eviction was allowed for long ago and that are not being deleted.
	Late []*corev1.Pod
	// After is when the next Pod becomes late; 0 if none does.
	After time.Duration
}

// Decide computes a budget's status.
func Decide(s Snapshot) Result {
	var result Result
	status := &result.Status
	status.ObservedGeneration = s.Budget.Generation
	status.Conditions = append(status.Conditions, s.Budget.Status.Conditions...)
	expected, desired := demand(s.Budget, len(s.Pods), s.Scale)
	status.ExpectedPods, status.DesiredHealthy = int32(expected), int32(desired)
	for _, pod := range s.Pods {
		if pod.DeletionTimestamp != nil {
			continue
		}
		if at, allowed := s.Budget.Status.DisruptedPods[pod.Name]; allowed {
			left := at.Add(deletionTimeout).Sub(s.Now)
			if left > 0 {
				if status.DisruptedPods == nil {
					status.DisruptedPods = map[string]metav1.Time{}
				}
				status.DisruptedPods[pod.Name] = at
				if result.After == 0 || left < result.After {
					result.After = left
				}
				continue
			}
			result.Late = append(result.Late, pod)
		}
		if pods.Ready(pod) {
			status.CurrentHealthy++
		}
	}
	if allowed := int(status.CurrentHealthy) - desired; expected > 0 && allowed > 0 {
		status.DisruptionsAllowed = int32(allowed)
	}
	setAllowed(status, s.Budget.Generation)
	return result
}

// partly reports whether a budget counts in parts of what controllers want rather than in Pods.
func partly(budget *policyv1.PodDisruptionBudget) bool {
	return budget.Spec.MaxUnavailable != nil || (budget.Spec.MinAvailable != nil && budget.Spec.MinAvailable.Type == intstr.String)
}

// demand returns how many Pods there should be and how many of them healthy.
func demand(budget *policyv1.PodDisruptionBudget, count, scale int) (expected, healthy int) {
	of := func(value *intstr.IntOrString) int {
		n, err := intstr.GetScaledValueFromIntOrPercent(value, scale, true)
		if err != nil {
			return 0
		}
		return n
	}
	switch {
	case budget.Spec.MaxUnavailable != nil:
		return scale, max(0, scale-of(budget.Spec.MaxUnavailable))
	case budget.Spec.MinAvailable == nil:
		return count, 0
	case partly(budget):
		return scale, of(budget.Spec.MinAvailable)
	}
	return count, budget.Spec.MinAvailable.IntValue()
}

// setAllowed sets the condition that says whether an eviction would be allowed now.
func setAllowed(status *policyv1.PodDisruptionBudgetStatus, generation int64) {
	condition := metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, ObservedGeneration: generation,
		Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason,
	}
	if status.DisruptionsAllowed > 0 {
		condition.Status, condition.Reason = metav1.ConditionTrue, policyv1.SufficientPodsReason
	}
	meta.SetStatusCondition(&status.Conditions, condition)
}

// failSafe returns a status that allows no eviction, since the right one could not be computed.
func failSafe(budget *policyv1.PodDisruptionBudget, cause error) policyv1.PodDisruptionBudgetStatus {
	status := *budget.Status.DeepCopy()
	status.DisruptionsAllowed = 0
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, ObservedGeneration: budget.Generation,
		Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, Message: cause.Error(),
	})
	return status
}
