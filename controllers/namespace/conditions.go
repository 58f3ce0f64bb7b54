package namespace

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions returns a dying namespace's conditions after a pass over its contents. Each names one thing that can
// hold a deletion up, and is false as long as it does not.
func Conditions(before []corev1.NamespaceCondition, o outcome, now time.Time) []corev1.NamespaceCondition {
	all := slices.Clone(before)
	for _, c := range []corev1.NamespaceCondition{
		judge(corev1.NamespaceDeletionDiscoveryFailure, o.discovery != nil,
			"DiscoveryFailed", "Discovery failed for some groups, "+text(o.discovery), "ResourcesDiscovered", "All resources successfully discovered"),
		judge(corev1.NamespaceDeletionGVParsingFailure, o.parsing != nil,
			"GroupVersionParsingFailed", text(o.parsing), "ParsedGroupVersions", "All legacy kube types successfully parsed"),
		judge(corev1.NamespaceDeletionContentFailure, len(o.deletion) > 0,
			"ContentDeletionFailed", "Failed to delete all resource types, "+fmt.Sprintf("%d remaining: ", len(o.deletion))+text(errors.Join(o.deletion...)),
			"ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
		judge(corev1.NamespaceContentRemaining, len(o.remaining) > 0,
			"SomeResourcesRemain", o.remainingMessage(), "ContentRemoved", "All content successfully removed"),
		judge(corev1.NamespaceFinalizersRemaining, len(o.finalizers) > 0,
			"SomeFinalizersRemain", o.finalizersMessage(), "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
	} {
		all = set(all, c, now)
	}
	return all
}

func judge(kind corev1.NamespaceConditionType, is bool, reason, message, elseReason, elseMessage string) corev1.NamespaceCondition {
	if is {
		return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message}
	}
	return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionFalse, Reason: elseReason, Message: elseMessage}
}

func set(all []corev1.NamespaceCondition, to corev1.NamespaceCondition, now time.Time) []corev1.NamespaceCondition {
	to.LastTransitionTime = metav1.NewTime(now)
	for i, old := range all {
		if old.Type != to.Type {
			continue
		}
		if old.Status == to.Status {
			to.LastTransitionTime = old.LastTransitionTime
		}
		all[i] = to
		return all
	}
	return append(all, to)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", ", ")
}

// remainingMessage tells how many objects of which resources are left.
func (o *outcome) remainingMessage() string {
	return "Some resources are remaining: " + counted(o.remaining, "%s has %d resource instances")
}

// finalizersMessage tells which finalizers are waited for.
func (o *outcome) finalizersMessage() string {
	return "Some content in the namespace has finalizers remaining: " + counted(o.finalizers, "%s in %d resource instances")
}

func counted(counts map[string]int, format string) string {
	parts := make([]string, 0, len(counts))
	for name, n := range counts {
		parts = append(parts, fmt.Sprintf(format, name, n))
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}
