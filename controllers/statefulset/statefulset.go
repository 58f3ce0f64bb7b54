// Package statefulset runs Pods that have an identity: a name with an ordinal, and claims that outlive them. Decide, a
// pure function, says what to do; this file and act.go read and write.
package statefulset

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/reconcile"
)

// Kind is what Pods name in their controllerRef.
var Kind = appsv1.SchemeGroupVersion.WithKind("StatefulSet")

type controller struct {
	client                        *client.Set
	events                        record.EventRecorder
	write                         pods.Writer
	sets, pods, claims, revisions cache.SharedIndexInformer
	owners                        own.Owners[*appsv1.StatefulSet] // of Pods
}

// New returns the controller of StatefulSets.
func New(set *client.Set, events record.EventRecorder, workers int) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events, write: pods.Writer{Client: set, Events: events},
		sets:      set.Informers.Apps().V1().StatefulSets().Informer(),
		pods:      set.Informers.Core().V1().Pods().Informer(),
		claims:    set.Informers.Core().V1().PersistentVolumeClaims().Informer(),
		revisions: set.Informers.Apps().V1().ControllerRevisions().Informer(),
	}
	c.owners = own.Owners[*appsv1.StatefulSet]{
		Informer: c.sets, Kind: Kind, Selector: func(set *appsv1.StatefulSet) *metav1.LabelSelector { return set.Spec.Selector },
		Match: isMember,
	}
	for _, informer := range []cache.SharedIndexInformer{c.pods, c.revisions} {
		if err := index.Controller(informer); err != nil {
			return reconcile.Controller{}, err
		}
	}
	return reconcile.Controller{
		Name: "statefulset-controller", Queue: "statefulset", Kind: Kind.Kind, Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.sets},
			{Informer: c.pods, Keys: reconcile.Of(c.owners.Concerned)},
			{Informer: c.claims, Keys: reconcile.Of(c.claimEvent)},
		},
		Synced:    []cache.SharedIndexInformer{c.revisions},
		Reconcile: c.reconcile,
	}, nil
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	set, found := index.Get[*appsv1.StatefulSet](c.sets, key.Namespace, key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil || selector.Empty() {
		return reconcile.Result{}, nil // validation keeps such objects out; no retry could mend one
	}
	fresh := func(ctx context.Context) (metav1.Object, error) {
		fresh, err := c.client.AppsV1().StatefulSets(set.Namespace).Get(ctx, set.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return fresh, nil
	}
	members, err := c.members(ctx, set, selector, fresh)
	if err != nil {
		return reconcile.Result{}, err
	}
	history, err := c.history(ctx, set, selector, fresh)
	if err != nil {
		return reconcile.Result{}, err
	}
	s := Snapshot{Set: set, Pods: members, Claims: c.claimsOf(set, members), Now: time.Now()}
	collisions := set.Status.CollisionCount
	if history, err = c.versions(ctx, &s, history, &collisions); err != nil {
		return reconcile.Result{}, err
	}
	plan := Decide(s)
	plan.Status.CollisionCount = collisions
	acted := c.act(ctx, set, plan)
	if err := c.report(ctx, set, plan.Status); err != nil {
		return reconcile.Result{}, err
	}
	if acted != nil {
		return reconcile.Result{}, acted
	}
	return reconcile.Result{After: plan.After}, c.trim(ctx, s, history)
}

// members returns the Pods that belong to a set, of those that name it and those that nobody controls.
func (c *controller) members(ctx context.Context, set *appsv1.StatefulSet, selector labels.Selector, fresh func(context.Context) (metav1.Object, error)) ([]*corev1.Pod, error) {
	candidates := append(index.Owned[*corev1.Pod](c.pods, set.UID), index.Orphans[*corev1.Pod](c.pods, set.Namespace)...)
	claim := own.Claim[*corev1.Pod]{
		Owner: set, Kind: Kind, Selector: selector, Of: "Pod", Fresh: fresh, Patch: c.write.Patch,
		Match: func(pod *corev1.Pod) bool { return isMember(set, pod) },
	}
	return claim.Sort(ctx, candidates)
}

// claimsOf returns the claims that exist for the ordinals that the set wants or has.
func (c *controller) claimsOf(set *appsv1.StatefulSet, members []*corev1.Pod) map[string]*corev1.PersistentVolumeClaim {
	found := map[string]*corev1.PersistentVolumeClaim{}
	if len(set.Spec.VolumeClaimTemplates) == 0 {
		return found
	}
	look := func(ordinal int) {
		for i := range set.Spec.VolumeClaimTemplates {
			name := claimName(set, &set.Spec.VolumeClaimTemplates[i], ordinal)
			if claim, ok := index.Get[*corev1.PersistentVolumeClaim](c.claims, set.Namespace, name); ok {
				found[name] = claim
			}
		}
	}
	for i := range int(*set.Spec.Replicas) {
		look(first(set) + i)
	}
	for _, pod := range members {
		if _, ordinal := member(pod.Name); ordinal >= 0 {
			look(ordinal)
		}
	}
	return found
}

// claimEvent wakes the set whose Pod a claim was for, when the claim is gone: the Pod that waits for a new one may come.
func (c *controller) claimEvent(old, claim *corev1.PersistentVolumeClaim) []reconcile.Key {
	if claim != nil {
		return nil
	}
	var keys []reconcile.Key
	for _, set := range index.InNamespace[*appsv1.StatefulSet](c.sets, old.Namespace) {
		for i := range set.Spec.VolumeClaimTemplates {
			prefix, _ := member(old.Name)
			if prefix == set.Spec.VolumeClaimTemplates[i].Name+"-"+set.Name {
				keys = append(keys, reconcile.Key{Namespace: set.Namespace, Name: set.Name})
			}
		}
	}
	return keys
}
