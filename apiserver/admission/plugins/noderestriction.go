package plugins

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/septet-io/septet/apiserver/admission"
)

const (
	nodesGroup     = "system:nodes"
	nodeUserPrefix = "system:node:"
)

// nodeRestriction lets a kubelet write what is its own and nothing else: its Node, lease and CSINode, the status of its Pods, mirrors of
// its static Pods, tokens for its Pods. What a kubelet may read is the Node authorizer's business.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
func nodeRestriction(env *Env) (admission.Plugin, error) {
	core := env.Set.Informers.Core().V1()
	r := &nodes{env: env, nodes: core.Nodes().Lister(), pods: core.Pods().Lister()}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update, admission.Delete}, Validate: r.validate}, nil
}

type nodes struct {
	env   *Env
	nodes corelisters.NodeLister
	pods  corelisters.PodLister
}

// guarded is a resource that kubelets may write a part of, with what says which part.
type guarded struct{ group, resource, subresource string }

// anySubresource in a guarded stands for those that have no line of their own.
const anySubresource = "*"

type guard func(r *nodes, ctx context.Context, a *admission.Attributes, node string) error

var guards = map[guarded]guard{
	{"", "pods", ""}:                          (*nodes).pod,
	{"", "pods", "status"}:                    (*nodes).podStatus,
	{"", "pods", "eviction"}:                  (*nodes).eviction,
	{"", "pods", anySubresource}:              (*nodes).podOther,
	{"", "nodes", ""}:                         (*nodes).node,
	{"", "nodes", "status"}:                   (*nodes).node,
	{"", "nodes", anySubresource}:             (*nodes).node,
	{"", "persistentvolumeclaims", "status"}:  (*nodes).claimStatus,
	{"", "persistentvolumeclaims", ""}:        (*nodes).claim,
	{"", "serviceaccounts", "token"}:          (*nodes).token,
	{"coordination.k8s.io", "leases", ""}:     (*nodes).lease,
	{"storage.k8s.io", "csinodes", ""}:        (*nodes).csiNode,
	{"resource.k8s.io", "resourceslices", ""}: (*nodes).slice,
}

func (r *nodes) validate(ctx context.Context, a *admission.Attributes) error {
	if !slices.Contains(a.User.Groups, nodesGroup) {
		return nil
	}
	node, isNode := strings.CutPrefix(a.User.Name, nodeUserPrefix)
	if !isNode {
		return nil
	}
	if node == "" {
		return refuse(a, "could not determine node from user %q", a.User.Name)
	}
	what := guarded{a.Resource.Group, a.Resource.Resource, a.Subresource}
	check, found := guards[what]
	if !found {
		what.subresource = anySubresource
		check, found = guards[what]
	}
	if !found {
		return nil
	}
	return check(r, ctx, a, node)
}

func refuse(a *admission.Attributes, format string, args ...any) error {
	return forbidden(a, fmt.Errorf(format, args...))
}

// pod: kubelets make mirrors of their static Pods, and delete Pods of their own.
func (r *nodes) pod(ctx context.Context, a *admission.Attributes, node string) error {
	switch a.Operation {
	case admission.Create:
		return r.mirror(ctx, a, node)
	case admission.Delete:
		pod, err := r.findPod(ctx, a.Namespace, a.Name)
		if err != nil {
			return err
		}
		if pod.Spec.NodeName != node {
			return refuse(a, "node %q can only delete pods with spec.nodeName set to itself", node)
		}
		return nil
	}
	return refuse(a, "unexpected operation %q, node %q can only create and delete mirror pods", a.Operation, node)
}

// mirror: a mirror Pod shows what runs already, and gets at nothing.
func (r *nodes) mirror(ctx context.Context, a *admission.Attributes, node string) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("unexpected type %T", a.Object))
	}
	if _, mirror := pod.Annotations[mirrorAnnotation]; !mirror {
		return refuse(a, "pod does not have %q annotation, node %q can only create mirror pods", mirrorAnnotation, node)
	}
	if pod.Spec.NodeName != node {
		return refuse(a, "node %q can only create pods with spec.nodeName set to itself", node)
	}
	if err := r.owned(ctx, a, pod, node); err != nil {
		return err
	}
	if what := reaches(pod); what != "" {
		return refuse(a, "node %q can not create pods that reference %s", node, what)
	}
	return nil
}

// owned: the node is the one owner of its mirror Pods, so that they go when it goes.
func (r *nodes) owned(ctx context.Context, a *admission.Attributes, pod *corev1.Pod, node string) error {
	if len(pod.OwnerReferences) > 1 {
		return refuse(a, "node %q can only create pods with a single owner reference set to itself", node)
	}
	if len(pod.OwnerReferences) == 0 {
		return refuse(a, "node %q can only create pods with an owner reference set to itself", node)
	}
	owner := pod.OwnerReferences[0]
	switch {
	case owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != node:
		return refuse(a, "node %q can only create pods with an owner reference set to itself", node)
	case owner.Controller == nil || !*owner.Controller:
		return refuse(a, "node %q can only create pods with a controller owner reference set to itself", node)
	case owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion:
		return refuse(a, "node %q must not set blockOwnerDeletion on an owner reference", node)
	}
	found, err := r.nodes.Get(node)
	if apierrors.IsNotFound(err) {
		found, err = r.env.Set.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return err
		}
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("looking up node %s to validate uid: %w", node, err))
	}
	if owner.UID != found.UID {
		return refuse(a, "node %s UID mismatch: expected %s got %s", node, owner.UID, found.UID)
	}
	return nil
}

// podStatus: kubelets report on their own Pods, and do not label them.
func (r *nodes) podStatus(_ context.Context, a *admission.Attributes, node string) error {
	if a.Operation != admission.Update {
		return refuse(a, "unexpected operation %q", a.Operation)
	}
	pod, ok := a.Object.(*corev1.Pod)
	old, okOld := a.OldObject.(*corev1.Pod)
	if !ok || !okOld {
		return apierrors.NewBadRequest(fmt.Sprintf("unexpected type %T", a.Object))
	}
	if old.Spec.NodeName != node {
		return refuse(a, "node %q can only update pod status for pods with spec.nodeName set to itself", node)
	}
	if !equality.Semantic.DeepEqual(pod.Labels, old.Labels) {
		return refuse(a, "node %q cannot update labels through pod status", node)
	}
	if !equality.Semantic.DeepEqual(pod.Status.ResourceClaimStatuses, old.Status.ResourceClaimStatuses) {
		return refuse(a, "node %q cannot update resource claim statuses", node)
	}
	return nil
}

// eviction: kubelets evict Pods of their own.
func (r *nodes) eviction(ctx context.Context, a *admission.Attributes, node string) error {
	if a.Operation != admission.Create {
		return refuse(a, "unexpected operation %s", a.Operation)
	}
	name := a.Name
	if object, ok := a.Object.(metav1.Object); ok && name == "" {
		name = object.GetName()
	}
	if name == "" {
		return refuse(a, "could not determine pod from request data to evict")
	}
	pod, err := r.findPod(ctx, a.Namespace, name)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != node {
		return refuse(a, "node %s can only evict pods with spec.nodeName set to itself", node)
	}
	return nil
}

func (r *nodes) podOther(_ context.Context, a *admission.Attributes, _ string) error {
	return refuse(a, "unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.Subresource)
}

// findPod asks the API for a Pod that the informer does not know yet.
func (r *nodes) findPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod, err := r.pods.Pods(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return r.env.Set.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	return pod, err
}

// lease: a kubelet's lease has its node's name.
func (r *nodes) lease(_ context.Context, a *admission.Attributes, node string) error {
	if a.Namespace != corev1.NamespaceNodeLease {
		return refuse(a, "can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	}
	name := a.Name
	if lease, ok := a.Object.(*coordinationv1.Lease); ok && a.Operation == admission.Create {
		name = lease.Name
	}
	if name != node {
		return refuse(a, "can only access node lease with the same name as the requesting node")
	}
	return nil
}

func (r *nodes) csiNode(_ context.Context, a *admission.Attributes, node string) error {
	name := a.Name
	if object, ok := a.Object.(metav1.Object); ok && a.Operation == admission.Create {
		name = object.GetName()
	}
	if name != node {
		return refuse(a, "can only access CSINode with the same name as the requesting node")
	}
	return nil
}

// slice: a kubelet lists devices of its own node.
func (r *nodes) slice(_ context.Context, a *admission.Attributes, node string) error {
	object := a.Object
	if a.Operation == admission.Delete {
		object = a.OldObject
	}
	if object == nil {
		return nil // a collection: each of its objects is asked about
	}
	slice, ok := object.(*resourcev1.ResourceSlice)
	if !ok || slice.Spec.NodeName == nil || *slice.Spec.NodeName != node {
		return refuse(a, "can only %s ResourceSlice with the same NodeName as the requesting node", strings.ToLower(string(a.Operation)))
	}
	return nil
}

// claim: nothing but the status is for kubelets to change.
func (r *nodes) claim(_ context.Context, a *admission.Attributes, _ string) error {
	return refuse(a, "may only update PVC status")
}

// claimStatus: a kubelet that has grown a file system says so.
func (r *nodes) claimStatus(_ context.Context, a *admission.Attributes, node string) error {
	if a.Operation != admission.Update {
		return refuse(a, "unexpected operation %q", a.Operation)
	}
	claim, ok := a.Object.(*corev1.PersistentVolumeClaim)
	old, okOld := a.OldObject.(*corev1.PersistentVolumeClaim)
	if !ok || !okOld {
		return apierrors.NewBadRequest(fmt.Sprintf("unexpected type %T", a.Object))
	}
	if !equality.Semantic.DeepEqual(bareClaim(claim), bareClaim(old)) {
		return refuse(a, "node %q is not allowed to update fields other than status.quantity and status.conditions", node)
	}
	return nil
}

// bareClaim is a claim without what kubelets may change.
func bareClaim(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	bare := claim.DeepCopy()
	bare.ResourceVersion, bare.ManagedFields = "", nil
	bare.Status.Capacity, bare.Status.Conditions = nil, nil
	bare.Status.AllocatedResources, bare.Status.AllocatedResourceStatuses = nil, nil
	return bare
}

// token: a kubelet gets tokens for Pods that run on its node.
func (r *nodes) token(ctx context.Context, a *admission.Attributes, node string) error {
	request, ok := a.Object.(*authenticationv1.TokenRequest)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("unexpected type %T", a.Object))
	}
	bound := request.Spec.BoundObjectRef
	if bound == nil || schema.FromAPIVersionAndKind(bound.APIVersion, bound.Kind) != corev1.SchemeGroupVersion.WithKind("Pod") || bound.Name == "" {
		return refuse(a, "node requested token not bound to a pod")
	}
	if bound.UID == "" {
		return refuse(a, "node requested token with a pod binding without a uid")
	}
	pod, err := r.findPod(ctx, a.Namespace, bound.Name)
	if apierrors.IsNotFound(err) {
		return err
	}
	if err != nil {
		return refuse(a, "%w", err)
	}
	if bound.UID != pod.UID {
		return refuse(a, "the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", bound.UID)
	}
	if pod.Spec.NodeName != node {
		return refuse(a, "node requested token bound to a pod scheduled on a different node")
	}
	return nil
}
