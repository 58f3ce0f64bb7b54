// Package quota says what objects count in ResourceQuotas: how much one uses, which quotas it falls under, and what a quota
// has left. It is pure, so that admission, which charges, and the controller, which recounts, cannot disagree.
// https://kubernetes.io/docs/concepts/policy/resource-quotas/
package quota

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// counted are the core resources that quotas may name without "count/".
var counted = map[string]bool{
	"pods": true, "services": true, "replicationcontrollers": true, "resourcequotas": true, "secrets": true, "configmaps": true,
	"persistentvolumeclaims": true,
}

const countPrefix = "count/"

// CountName is the name under which objects of any resource are counted: "count/deployments.apps", "count/pods".
func CountName(of schema.GroupResource) corev1.ResourceName {
	return corev1.ResourceName(countPrefix + of.String())
}

// CountedBy returns which resource's objects a name of a quota counts: that of "count/…", or of "secrets". False for amounts.
func CountedBy(name corev1.ResourceName) (schema.GroupResource, bool) {
	if counted[string(name)] {
		return schema.GroupResource{Resource: string(name)}, true
	}
	of, found := strings.CutPrefix(string(name), countPrefix)
	return schema.ParseGroupResource(of), found
}

// Usage is what one object uses. Kinds that are counted and nothing else need no obj: it may be nil, or metadata alone. now
// decides whether a Pod that is being deleted still counts.
func Usage(of schema.GroupResource, obj any, now time.Time) corev1.ResourceList {
	one := *resource.NewQuantity(1, resource.DecimalSI)
	usage := corev1.ResourceList{CountName(of): one}
	switch object := obj.(type) {
	case *corev1.Pod:
		podUsage(usage, object, now)
		return usage
	case *corev1.Service:
		serviceUsage(usage, object)
	case *corev1.PersistentVolumeClaim:
		claimUsage(usage, object)
	}
	if of.Group == "" && counted[of.Resource] {
		usage[corev1.ResourceName(of.Resource)] = one
	}
	return usage
}

// Add adds each amount of more to sum.
func Add(sum, more corev1.ResourceList) {
	for name, amount := range more {
		total := sum[name].DeepCopy()
		total.Add(amount)
		sum[name] = total
	}
}

// Increase is what is more in next than in previous; amounts that did not grow are left out.
func Increase(next, previous corev1.ResourceList) corev1.ResourceList {
	increase := corev1.ResourceList{}
	for name, amount := range next {
		grown := amount.DeepCopy()
		grown.Sub(previous[name])
		if grown.Sign() > 0 {
			increase[name] = grown
		}
	}
	return increase
}

// Only returns the amounts of list that hard names too.
func Only(list, hard corev1.ResourceList) corev1.ResourceList {
	masked := corev1.ResourceList{}
	for name, amount := range list {
		if _, limited := hard[name]; limited {
			masked[name] = amount
		}
	}
	return masked
}

// Exceeded returns the names, in order, of which used is more than hard. Names that hard lacks have no limit.
func Exceeded(used, hard corev1.ResourceList) []corev1.ResourceName {
	var names []corev1.ResourceName
	for name, limit := range hard {
		if amount, found := used[name]; found && amount.Cmp(limit) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Print writes the amounts of some names as messages show them: "pods=1,requests.cpu=500m".
func Print(list corev1.ResourceList, names []corev1.ResourceName) string {
	parts := make([]string, 0, len(names))
	for _, name := range names {
		amount := list[name]
		parts = append(parts, string(name)+"="+amount.String())
	}
	return strings.Join(parts, ",")
}

// Names returns the names of a list in order.
func Names(list corev1.ResourceList) []corev1.ResourceName {
	names := make([]corev1.ResourceName, 0, len(list))
	for name := range list {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
