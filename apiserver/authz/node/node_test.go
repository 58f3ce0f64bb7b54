package node

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// objects are those of a cluster with the nodes a and b.
type objects struct {
	pods        map[string][]*corev1.Pod
	claims      map[string]*corev1.PersistentVolumeClaim
	volumes     map[string]*corev1.PersistentVolume
	attachments map[string]*storagev1.VolumeAttachment
}

func (o *objects) PodsOn(_ context.Context, node string) ([]*corev1.Pod, error) {
	return o.pods[node], nil
}

func find[T any](in map[string]*T, name string) (*T, error) {
	if obj := in[name]; obj != nil {
		return obj, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("objects"), name)
}

func (o *objects) PersistentVolumeClaim(_ context.Context, namespace, name string) (*corev1.PersistentVolumeClaim, error) {
	return find(o.claims, namespace+"/"+name)
}
func (o *objects) PersistentVolume(_ context.Context, name string) (*corev1.PersistentVolume, error) {
	return find(o.volumes, name)
}
func (o *objects) VolumeAttachment(_ context.Context, name string) (*storagev1.VolumeAttachment, error) {
	return find(o.attachments, name)
}

func local(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }

func cluster() *objects {
	web := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: corev1.PodSpec{
		NodeName: "a", ServiceAccountName: "bot", ImagePullSecrets: []corev1.LocalObjectReference{local("pull")},
		InitContainers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("settings")}}}}},
		Containers:     []corev1.Container{{Env: []corev1.EnvVar{{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("password")}}}}}},
		Volumes: []corev1.Volume{
			{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "disk"}}},
			{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
			{Name: "all", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: local("projected")}}}}}},
		},
	}}
	mirror := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "static-a", Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"}},
		Spec: corev1.PodSpec{NodeName: "a", ServiceAccountName: "root", ImagePullSecrets: []corev1.LocalObjectReference{local("coveted")}}}
	return &objects{
		pods:   map[string][]*corev1.Pod{"a": {web, mirror}},
		claims: map[string]*corev1.PersistentVolumeClaim{"shop/disk": {Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "v1"}}},
		volumes: map[string]*corev1.PersistentVolume{
			"v1": {Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: "shop", Name: "disk"}, PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{NodeStageSecretRef: &corev1.SecretReference{Namespace: "storage", Name: "stage"}}}}},
			"v2": {Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: "bank", Name: "disk"}}},
		},
		attachments: map[string]*storagev1.VolumeAttachment{"at-a": {Spec: storagev1.VolumeAttachmentSpec{NodeName: "a"}}, "at-b": {Spec: storagev1.VolumeAttachmentSpec{NodeName: "b"}}},
	}
}

func TestKubeletsGetWhatTheirPodsNeed(t *testing.T) {
	t.Parallel()
	a := &Authorizer{Objects: cluster()}
	kubelet := func(node string) resource.User { return resource.User{Name: prefix + node, Groups: []string{group}} }
	ask := func(user resource.User, info request.Info) bool {
		info.IsResource = true
		decision, _, err := a.Authorize(t.Context(), &info, user)
		if err != nil || decision == request.Deny {
			t.Errorf("%+v: %v, %v", info, decision, err)
		}
		return decision == request.Allow
	}
	get := func(resource, namespace, name string) request.Info {
		return request.Info{Verb: "get", Resource: resource, Namespace: namespace, Name: name}
	}
	for _, test := range []struct {
		info request.Info
		want string // the nodes that may
	}{
		{get("secrets", "shop", "pull"), "a"},
		{get("secrets", "shop", "password"), "a"},
		{get("secrets", "shop", "projected"), "a"},
		{get("secrets", "bank", "pull"), ""},
		{get("secrets", "shop", "else"), ""},
		{get("secrets", "shop", "coveted"), ""}, // only a mirror Pod names it
		{get("secrets", "storage", "stage"), "a"},
		{get("secrets", "shop", "stage"), ""},
		{request.Info{Verb: "list", Resource: "secrets", Namespace: "shop"}, ""},
		{request.Info{Verb: "delete", Resource: "secrets", Namespace: "shop", Name: "pull"}, ""},
		{get("configmaps", "shop", "settings"), "a"},
		{get("persistentvolumeclaims", "shop", "disk"), "a"},
		{get("persistentvolumeclaims", "shop", "web-scratch"), "a"},
		{get("persistentvolumes", "", "v1"), "a"},
		{get("persistentvolumes", "", "v2"), ""},
		{get("persistentvolumes", "", "v3"), ""},
		{request.Info{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: "shop", Name: "bot"}, "a"},
		{request.Info{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: "shop", Name: "root"}, ""},
		{request.Info{Verb: "get", Group: "storage.k8s.io", Resource: "volumeattachments", Name: "at-b"}, "b"},
		{get("nodes", "", "a"), "a"},
		{request.Info{Verb: "list", Resource: "nodes"}, ""},
		{request.Info{Verb: "delete", Resource: "nodes", Name: "a"}, ""},
		{request.Info{Verb: "patch", Resource: "nodes", Subresource: "status", Name: "b"}, "b"},
		{request.Info{Verb: "create", Resource: "nodes"}, "ab"},
		{get("pods", "shop", "web"), "a"},
		{get("pods", "shop", "static-a"), "a"}, // the node's own: its status is written, and therefore read
		{request.Info{Verb: "watch", Resource: "pods", FieldSelector: "spec.nodeName=b"}, "b"},
		{request.Info{Verb: "watch", Resource: "pods", FieldSelector: "spec.nodeName!=b"}, ""},
		{request.Info{Verb: "watch", Resource: "pods"}, ""},
		{request.Info{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: leases, Name: "a"}, "a"},
		{request.Info{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: "kube-system", Name: "a"}, ""},
		{request.Info{Verb: "watch", Resource: "services"}, "ab"},
		{get("pods/log", "shop", "web"), ""},
	} {
		got := ""
		for _, node := range []string{"a", "b"} {
			if ask(kubelet(node), test.info) {
				got += node
			}
		}
		if got != test.want {
			t.Errorf("%+v: nodes %q may, want %q", test.info, got, test.want)
		}
		if ask(resource.User{Name: prefix + "a"}, test.info) || ask(resource.User{Name: "jane", Groups: []string{group}}, test.info) {
			t.Errorf("%+v: allowed to who is no kubelet", test.info)
		}
	}
}
