// Package persistentvolume brings claims and volumes together: it binds each claim to a volume that fits, has volumes made
// where a class says who makes them, and reclaims what nobody claims any more.
package persistentvolume

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

// Annotations with which binding is noted. https://kubernetes.io/docs/reference/labels-annotations-taints/
const (
	bindCompleted   = "pv.kubernetes.io/bind-completed"
	boundByUs       = "pv.kubernetes.io/bound-by-controller"
	provisionedBy   = "pv.kubernetes.io/provisioned-by"
	provisioner     = "volume.kubernetes.io/storage-provisioner"
	provisionerBeta = "volume.beta.kubernetes.io/storage-provisioner"
	selectedNode    = "volume.kubernetes.io/selected-node"
)

// Provisioner makes and removes volumes of one kind in this process.
type Provisioner interface {
	// Name is what classes call it.
	Name() string
	// Provision returns the volume for a claim, whose node is known if its class waits for the first consumer.
	Provision(ctx context.Context, name string, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, node *corev1.Node) (*corev1.PersistentVolume, error)
	// Delete removes what is behind a volume.
	Delete(ctx context.Context, volume *corev1.PersistentVolume) error
}

type controller struct {
	client                          *client.Set
	claims, volumes, classes, nodes cache.SharedIndexInformer
	events                          record.EventRecorder
	provisioners                    map[string]Provisioner
}

// New returns the controllers of claims and volumes. They share a queue's worth of work but not a queue, as upstream's.
func New(set *client.Set, events record.EventRecorder, provisioners ...Provisioner) ([]reconcile.Controller, error) {
	c := &controller{
		client: set, events: events, provisioners: map[string]Provisioner{},
		claims:  set.Informers.Core().V1().PersistentVolumeClaims().Informer(),
		volumes: set.Informers.Core().V1().PersistentVolumes().Informer(),
		classes: set.Informers.Storage().V1().StorageClasses().Informer(),
		nodes:   set.Informers.Core().V1().Nodes().Informer(),
	}
	for _, p := range provisioners {
		c.provisioners[p.Name()] = p
	}
	// One worker each: two claims must not choose the same volume at the same time.
	return []reconcile.Controller{
		{
			Name: "persistentvolume-binder-controller", Queue: "claims", Kind: "PersistentVolumeClaim", Workers: 1,
			Watches: []reconcile.Watch{
				{Informer: c.claims},
				{Informer: c.volumes, Keys: reconcile.Of(c.claimsFor)},
				{Informer: c.classes, Keys: reconcile.Of(c.claimsOfClass)},
			},
			Reconcile: c.syncClaim,
		},
		{
			Name: "persistentvolume-binder-controller", Queue: "volumes", Kind: "PersistentVolume", Workers: 1,
			Watches: []reconcile.Watch{
				{Informer: c.volumes},
				{Informer: c.claims, Keys: reconcile.Of(volumeOfClaim)},
			},
			Reconcile: c.syncVolume,
		},
	}, nil
}

// claimsFor wakes the claim that a volume names, or all that wait, when a volume comes or changes.
func (c *controller) claimsFor(old, volume *corev1.PersistentVolume) []reconcile.Key {
	if volume == nil {
		volume = old
	}
	if ref := volume.Spec.ClaimRef; ref != nil {
		return []reconcile.Key{{Namespace: ref.Namespace, Name: ref.Name}}
	}
	return c.waiting(func(*corev1.PersistentVolumeClaim) bool { return true })
}

// claimsOfClass wakes claims that wait for a class.
func (c *controller) claimsOfClass(_, class *storagev1.StorageClass) []reconcile.Key {
	if class == nil {
		return nil
	}
	return c.waiting(func(claim *corev1.PersistentVolumeClaim) bool {
		return classOf(claim) == class.Name || claim.Spec.StorageClassName == nil
	})
}

func (c *controller) waiting(of func(*corev1.PersistentVolumeClaim) bool) []reconcile.Key {
	var keys []reconcile.Key
	for _, claim := range index.All[*corev1.PersistentVolumeClaim](c.claims) {
		if claim.Status.Phase != corev1.ClaimBound && of(claim) {
			keys = append(keys, reconcile.Key{Namespace: claim.Namespace, Name: claim.Name})
		}
	}
	return keys
}

// volumeOfClaim wakes the volume of a claim that changes or goes.
func volumeOfClaim(old, claim *corev1.PersistentVolumeClaim) []reconcile.Key {
	if claim == nil {
		claim = old
	}
	if claim.Spec.VolumeName == "" {
		return nil
	}
	return []reconcile.Key{{Name: claim.Spec.VolumeName}}
}

func classOf(claim *corev1.PersistentVolumeClaim) string {
	if class, beta := claim.Annotations[corev1.BetaStorageClassAnnotation]; beta {
		return class
	}
	if claim.Spec.StorageClassName != nil {
		return *claim.Spec.StorageClassName
	}
	return ""
}

func classOfVolume(volume *corev1.PersistentVolume) string {
	if class, beta := volume.Annotations[corev1.BetaStorageClassAnnotation]; beta {
		return class
	}
	return volume.Spec.StorageClassName
}
