package persistentvolume

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// volume is free, of class "slow", for one node at a time.
func volume(name, size string, edit ...func(*corev1.PersistentVolume)) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)},
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: "slow",
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
		},
	}
	for _, f := range edit {
		f(v)
	}
	return v
}

// claim asks for 1Gi of class "slow".
func claim(edit ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "data", UID: "c-1"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: ptr.To("slow"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	for _, f := range edit {
		f(c)
	}
	return c
}

// keptFor says whose a volume is: the claim of that name and, unless it is empty, that UID.
func keptFor(name string, uid types.UID) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: "default", Name: name, UID: uid}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	block := corev1.PersistentVolumeBlock
	class := func(name string) func(*corev1.PersistentVolume) {
		return func(v *corev1.PersistentVolume) { v.Spec.StorageClassName = name }
	}
	red := func(v *corev1.PersistentVolume) { v.Labels = map[string]string{"color": "red"} }
	volumes := func(all ...*corev1.PersistentVolume) []*corev1.PersistentVolume { return all }
	for _, test := range []struct {
		name    string
		claim   *corev1.PersistentVolumeClaim
		volumes []*corev1.PersistentVolume
		want    string
	}{
		{"none", claim(), nil, ""},
		{"the smallest that is large enough", claim(), volumes(volume("huge", "5Gi"), volume("small", "500Mi"), volume("large", "2Gi")), "large"},
		{"of equals the first by name", claim(), volumes(volume("b", "1Gi"), volume("a", "1Gi")), "a"},
		{"another class", claim(), volumes(volume("a", "1Gi", class("fast"))), ""},
		{"another class than none", claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = ptr.To("") }), volumes(volume("a", "1Gi")), ""},
		{"no class", claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = nil }), volumes(volume("a", "1Gi", class(""))), "a"},
		{"the older way to name a class", claim(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.StorageClassName, c.Annotations = nil, map[string]string{corev1.BetaStorageClassAnnotation: "slow"}
		}), volumes(volume("a", "1Gi")), "a"},
		{"another access", claim(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
		}), volumes(volume("a", "1Gi")), ""},
		{"another mode", claim(), volumes(volume("a", "1Gi", func(v *corev1.PersistentVolume) { v.Spec.VolumeMode = &block })), ""},
		{"other attributes", claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeAttributesClassName = ptr.To("gold") }), volumes(volume("a", "1Gi")), ""},
		{"by selector", claim(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"color": "red"}}
		}), volumes(volume("a", "1Gi"), volume("b", "2Gi", red)), "b"},
		{"kept for it by name, though larger", claim(), volumes(volume("a", "1Gi"), volume("b", "9Gi", keptFor("data", ""))), "b"},
		{"bound to it", claim(), volumes(volume("a", "1Gi"), volume("b", "1Gi", keptFor("data", "c-1"))), "b"},
		{"kept for it, too small", claim(), volumes(volume("b", "1Mi", keptFor("data", ""))), ""},
		{"another's", claim(), volumes(volume("a", "1Gi", keptFor("other", ""))), ""},
		{"an earlier claim's of the same name", claim(), volumes(volume("a", "1Gi", keptFor("data", "c-0"))), ""},
		{"the one that it names", claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "b" }), volumes(volume("a", "1Gi"), volume("b", "3Gi")), "b"},
		{"going away", claim(), volumes(volume("a", "1Gi", func(v *corev1.PersistentVolume) { v.DeletionTimestamp = &metav1.Time{} })), ""},
	} {
		got := ""
		if volume := Match(test.claim, test.volumes); volume != nil {
			got = volume.Name
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
