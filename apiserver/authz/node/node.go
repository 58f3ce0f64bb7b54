// Package node authorizes kubelets: each may read and write what it needs for itself and for the Pods bound to it, and
// nothing of other nodes. https://kubernetes.io/docs/reference/access-authn-authz/node/
package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

const (
	group    = "system:nodes"
	prefix   = "system:node:"
	byNode   = "spec.nodeName"
	leases   = "kube-node-lease"
	noAccess = "no relationship found between node '%s' and this object"
)

// NameOf returns the node that a user is the kubelet of.
func NameOf(user resource.User) (string, bool) {
	name, ok := strings.CutPrefix(user.Name, prefix)
	return name, ok && name != "" && slices.Contains(user.Groups, group)
}

// Objects are what an Authorizer looks at. They must be at least as new as what kubelets are told: a kubelet asks for a
// Pod's secrets the moment that it hears of the Pod.
type Objects interface {
	// PodsOn returns the Pods bound to a node. They are shared: never change them.
	PodsOn(ctx context.Context, node string) ([]*corev1.Pod, error)
	// PersistentVolumeClaim, PersistentVolume and VolumeAttachment return an object by name; NotFound if there is none.
	PersistentVolumeClaim(ctx context.Context, namespace, name string) (*corev1.PersistentVolumeClaim, error)
	PersistentVolume(ctx context.Context, name string) (*corev1.PersistentVolume, error)
	VolumeAttachment(ctx context.Context, name string) (*storagev1.VolumeAttachment, error)
}

// Authorizer decides about users in the group system:nodes; it has no opinion about others.
type Authorizer struct{ Objects Objects }

// Authorize is request.Authorizer.
func (a *Authorizer) Authorize(ctx context.Context, info *request.Info, user resource.User) (request.Decision, string, error) {
	if !slices.Contains(user.Groups, group) {
		return request.NoOpinion, "", nil
	}
	name, ok := NameOf(user)
	if !ok {
		return request.NoOpinion, fmt.Sprintf("unknown node for user %q", user.Name), nil
	}
	if !info.IsResource {
		return request.NoOpinion, "", nil
	}
	rule := ruleFor(info)
	if rule == nil || !slices.Contains(rule.verbs, info.Verb) {
		return request.NoOpinion, "", nil
	}
	if rule.check != nil {
		if reason := rule.check(ctx, a, name, info); reason != "" {
			return request.NoOpinion, reason, nil
		}
	}
	return request.Allow, "", nil
}

// rule permits verbs on a resource where check, if any, returns no objection.
type rule struct {
	group, resource, subresource string
	verbs                        []string
	check                        func(ctx context.Context, a *Authorizer, node string, info *request.Info) string
}

var (
	read   = []string{"get", "list", "watch"}
	write  = []string{"get", "create", "update", "patch", "delete"}
	change = []string{"update", "patch"}
)

// rules is all that kubelets may do. The first that matches the resource and subresource decides together with those
// of the same resource that follow it only by verbs, so each pair stands here once.
var rules = []rule{
	{"", "nodes", "", []string{"get", "list", "watch", "create", "update", "patch"}, ownNode},
	{"", "nodes", "status", change, ownName},
	{"", "pods", "", []string{"get", "list", "watch", "create", "delete"}, ownPods},
	{"", "pods", "status", change, nil}, // NodeRestriction checks that the pod is bound to the node
	{"", "pods", "eviction", []string{"create"}, nil},
	{"", "secrets", "", read, usedSecret},
	{"", "configmaps", "", read, usedBy(podUsesConfigMap)},
	{"", "persistentvolumeclaims", "", read, usedBy(podUsesClaim)},
	{"", "persistentvolumeclaims", "status", []string{"get", "update", "patch"}, usedBy(podUsesClaim)},
	{"", "persistentvolumes", "", read, ownVolume},
	{"", "serviceaccounts", "", []string{"get"}, usedBy(podUsesServiceAccount)},
	{"", "serviceaccounts", "token", []string{"create"}, usedBy(podUsesServiceAccount)},
	{"", "services", "", read, nil},
	{"", "endpoints", "", []string{"get"}, nil},
	{"", "events", "", []string{"create", "update", "patch"}, nil},
	{"events.k8s.io", "events", "", []string{"create", "update", "patch"}, nil},
	{"authentication.k8s.io", "tokenreviews", "", []string{"create"}, nil},
	{"authorization.k8s.io", "subjectaccessreviews", "", []string{"create"}, nil},
	{"authorization.k8s.io", "localsubjectaccessreviews", "", []string{"create"}, nil},
	{"certificates.k8s.io", "certificatesigningrequests", "", []string{"create", "get", "list", "watch"}, nil},
	{"coordination.k8s.io", "leases", "", write, ownLease},
	{"node.k8s.io", "runtimeclasses", "", read, nil},
	{"storage.k8s.io", "csidrivers", "", read, nil},
	{"storage.k8s.io", "csinodes", "", write, ownOrNew},
	{"storage.k8s.io", "volumeattachments", "", []string{"get"}, ownAttachment},
	{"resource.k8s.io", "resourceclaims", "", []string{"get"}, usedBy(podUsesResourceClaim)},
	{"resource.k8s.io", "resourceslices", "", []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}, ownSlices},
}

func ruleFor(info *request.Info) *rule {
	for i := range rules {
		if r := &rules[i]; r.resource == info.Resource && r.group == info.Group && r.subresource == info.Subresource {
			return r
		}
	}
	return nil
}

func ownName(_ context.Context, _ *Authorizer, node string, info *request.Info) string {
	if info.Name == node {
		return ""
	}
	return fmt.Sprintf("node '%s' cannot access node '%s', only its own Node object", node, info.Name)
}

// ownNode: a node reads itself, watches itself by name, and registers (NodeRestriction compares the name on create).
func ownNode(ctx context.Context, a *Authorizer, node string, info *request.Info) string {
	if info.Verb == "create" {
		return ""
	}
	if (info.Verb == "list" || info.Verb == "watch") && info.Name == "" {
		return "can only list/watch nodes by a field selector metadata.name=" + node
	}
	return ownName(ctx, a, node, info)
}

func ownOrNew(ctx context.Context, a *Authorizer, node string, info *request.Info) string {
	if info.Verb == "create" {
		return ""
	}
	return ownName(ctx, a, node, info)
}

func ownLease(ctx context.Context, a *Authorizer, node string, info *request.Info) string {
	if info.Namespace != leases {
		return fmt.Sprintf("can only access leases in the %q namespace", leases)
	}
	return ownOrNew(ctx, a, node, info)
}

func ownPods(ctx context.Context, a *Authorizer, node string, info *request.Info) string {
	switch info.Verb {
	case "create", "delete": // NodeRestriction compares the node name in the object
		return ""
	case "list", "watch":
		if info.Name == "" {
			return selectsNode(info, byNode, node, "pods")
		}
	}
	if a.anyPod(ctx, node, func(pod *corev1.Pod) bool { return pod.Namespace == info.Namespace && pod.Name == info.Name }) {
		return ""
	}
	return fmt.Sprintf(noAccess, node)
}

func ownSlices(_ context.Context, _ *Authorizer, node string, info *request.Info) string {
	switch info.Verb {
	case "list", "watch", "deletecollection":
		return selectsNode(info, byNode, node, "resourceslices")
	}
	return "" // NodeRestriction compares the node name in the object
}

func selectsNode(info *request.Info, field, node, resource string) string {
	selector, err := fields.ParseSelector(info.FieldSelector)
	if err == nil {
		if value, ok := selector.RequiresExactMatch(field); ok && value == node {
			return ""
		}
	}
	return fmt.Sprintf("can only list/watch %s with %s field selector", resource, field)
}
