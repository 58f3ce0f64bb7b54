// Package ephemeralvolume makes the claims of Pods' generic ephemeral volumes. Each belongs to its Pod and goes with it.
package ephemeralvolume

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

type controller struct {
	client       *client.Set
	pods, claims cache.SharedIndexInformer
	events       record.EventRecorder
}

// New returns the controller.
func New(set *client.Set, events record.EventRecorder, workers int) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events,
		pods:   set.Informers.Core().V1().Pods().Informer(),
		claims: set.Informers.Core().V1().PersistentVolumeClaims().Informer(),
	}
	return reconcile.Controller{
		Name: "ephemeral-volume-controller", Queue: "ephemeral_volume", Kind: "Pod", Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.pods, Keys: reconcile.Of(fresh)},
			{Informer: c.claims, Keys: reconcile.Of(ownerOfGone)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// fresh returns a new Pod that has ephemeral volumes. Volumes of a Pod never change.
func fresh(old, pod *corev1.Pod) []reconcile.Key {
	if old != nil || pod == nil || pod.DeletionTimestamp != nil {
		return nil
	}
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Ephemeral != nil {
			return []reconcile.Key{{Namespace: pod.Namespace, Name: pod.Name}}
		}
	}
	return nil
}

// ownerOfGone returns the Pod whose claim was deleted: it gets another one.
func ownerOfGone(old, claim *corev1.PersistentVolumeClaim) []reconcile.Key {
	if claim != nil {
		return nil
	}
	if owner := metav1.GetControllerOfNoCopy(old); owner != nil && owner.Kind == "Pod" && owner.APIVersion == "v1" {
		return []reconcile.Key{{Namespace: old.Namespace, Name: owner.Name}}
	}
	return nil
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, found := index.Get[*corev1.Pod](c.pods, key.Namespace, key.Name)
	if !found || pod.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if volume.Ephemeral == nil {
			continue
		}
		if err := c.provide(ctx, pod, volume); err != nil {
			c.events.Eventf(pod, corev1.EventTypeWarning, "FailedBinding", "ephemeral volume %s: %v", volume.Name, err)
			return reconcile.Result{}, fmt.Errorf("pod %s, ephemeral volume %s: %w", key, volume.Name, err)
		}
	}
	return reconcile.Result{}, nil
}

// provide makes the claim of one volume if it is not there. One of the same name that is not the Pod's is never used.
func (c *controller) provide(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) error {
	wanted := Claim(pod, volume)
	claim, found := index.Get[*corev1.PersistentVolumeClaim](c.claims, wanted.Namespace, wanted.Name)
	api := c.client.CoreV1().PersistentVolumeClaims(wanted.Namespace)
	if !found {
		made, err := api.Create(ctx, wanted, metav1.CreateOptions{})
		if err == nil {
			reconcile.Note(ctx, journal.Record{
				Step: "create claim", Kind: "PersistentVolumeClaim", Namespace: made.Namespace, Name: made.Name, UID: made.UID, Made: made.ResourceVersion,
				Owner: "Pod/" + pod.Namespace + "/" + pod.Name,
			})
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create PVC %s: %w", wanted.Name, err)
		}
		// The cache is behind: whose it is has to be asked for.
		if claim, err = api.Get(ctx, wanted.Name, metav1.GetOptions{}); err != nil {
			return err
		}
	}
	if !metav1.IsControlledBy(claim, pod) {
		return fmt.Errorf("PVC %s/%s was not created for pod %s/%s (pod is not owner)", claim.Namespace, claim.Name, pod.Namespace, pod.Name)
	}
	return nil
}

// Claim returns the claim of a Pod's generic ephemeral volume: from the volume's template, named after both, the Pod's own.
func Claim(pod *corev1.Pod, volume *corev1.Volume) *corev1.PersistentVolumeClaim {
	template := volume.Ephemeral.VolumeClaimTemplate
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: pod.Namespace, Name: pod.Name + "-" + volume.Name,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(pod, corev1.SchemeGroupVersion.WithKind("Pod"))},
		Annotations:     maps.Clone(template.Annotations), Labels: maps.Clone(template.Labels),
	}}
	template.Spec.DeepCopyInto(&claim.Spec)
	return claim
}
