package apiserver

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// PodsOn is node.Objects. It reads the very cache from which kubelets are told.
func (o *opening) PodsOn(ctx context.Context, name string) ([]*corev1.Pod, error) {
	s := o.server.Load()
	if s == nil {
		return nil, errors.New("the server has not started yet")
	}
	pods := s.Resources.Get(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Open()
	page, err := pods.List(ctx, store.Query{Fields: fields.OneTermEqualSelector("spec.nodeName", name), ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	found := make([]*corev1.Pod, 0, len(page.Items))
	for _, item := range page.Items {
		if pod, ok := item.Object.(*corev1.Pod); ok {
			found = append(found, pod)
		}
	}
	return found, nil
}

// PersistentVolumeClaim is node.Objects.
func (o *opening) PersistentVolumeClaim(ctx context.Context, namespace, name string) (*corev1.PersistentVolumeClaim, error) {
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}
	return lookup[*corev1.PersistentVolumeClaim](ctx, o, gvr, store.Key{Namespace: namespace, Name: name})
}

// PersistentVolume is node.Objects.
func (o *opening) PersistentVolume(ctx context.Context, name string) (*corev1.PersistentVolume, error) {
	return lookup[*corev1.PersistentVolume](ctx, o, schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumes"}, store.Key{Name: name})
}

// VolumeAttachment is node.Objects.
func (o *opening) VolumeAttachment(ctx context.Context, name string) (*storagev1.VolumeAttachment, error) {
	gvr := schema.GroupVersionResource{Group: storagev1.GroupName, Version: "v1", Resource: "volumeattachments"}
	return lookup[*storagev1.VolumeAttachment](ctx, o, gvr, store.Key{Name: name})
}

// lookup gets an object as it is at hand, or, if it is not there yet, the latest.
func lookup[T resource.Object](ctx context.Context, o *opening, gvr schema.GroupVersionResource, key store.Key) (T, error) {
	var none T
	s := o.server.Load()
	if s == nil {
		return none, errors.New("the server has not started yet")
	}
	open := s.Resources.Get(gvr).Open
	item, err := open().Get(ctx, key, "0")
	if err != nil {
		if item, err = open().Get(ctx, key, ""); err != nil {
			return none, err
		}
	}
	return item.Object.(T), nil
}

// ServiceAccount is serviceaccount.Objects.
func (o *opening) ServiceAccount(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return lookup[*corev1.ServiceAccount](ctx, o, schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}, store.Key{Namespace: namespace, Name: name})
}

// Pod is serviceaccount.Objects.
func (o *opening) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return lookup[*corev1.Pod](ctx, o, schema.GroupVersionResource{Version: "v1", Resource: "pods"}, store.Key{Namespace: namespace, Name: name})
}

// Secret is serviceaccount.Objects.
func (o *opening) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return lookup[*corev1.Secret](ctx, o, schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, store.Key{Namespace: namespace, Name: name})
}

// markUsed is serviceaccount.Verifier.MarkUsed.
func (o *opening) markUsed(ctx context.Context, secret *corev1.Secret, label, day string) {
	s := o.server.Load()
	if s == nil || s.Loopback == nil {
		return
	}
	patch := fmt.Sprintf(`{"metadata":{"uid":%q,"labels":{%q:%q}}}`, secret.UID, label, day)
	if _, err := s.Loopback.CoreV1().Secrets(secret.Namespace).Patch(ctx, secret.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		klog.FromContext(ctx).V(1).Info("The use of a token was not noted", "secret", klog.KObj(secret), "err", err)
	}
}

// Node is serviceaccount.Objects.
func (o *opening) Node(ctx context.Context, name string) (*corev1.Node, error) {
	return lookup[*corev1.Node](ctx, o, schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, store.Key{Name: name})
}
