package scheduler

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
)

func class(name, provisioner string, mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: &mode}
}

func claim(name, class, size string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "uid-" + "claim"}}
	c.Spec.StorageClassName = &class
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	return c
}

func volumeOn(name, class, size, node string) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
	v.Spec.StorageClassName, v.Spec.AccessModes = class, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}}}}}
	v.Status.Phase = corev1.VolumeAvailable
	return v
}

func withClaim(name string) podOption {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}})
	}
}

// binder does the volume binder's and the provisioner's part: a claim that a volume points to, or that has a node selected, becomes bound.
func (c *cluster) binder() {
	claims := schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}
	complete := func(namespace, name, volume string) {
		object, err := c.Tracker().Get(claims, namespace, name)
		if err != nil {
			c.t.Error(err)
			return
		}
		claim := object.(*corev1.PersistentVolumeClaim).DeepCopy()
		claim.Spec.VolumeName, claim.Status.Phase = volume, corev1.ClaimBound
		metav1.SetMetaDataAnnotation(&claim.ObjectMeta, "pv.kubernetes.io/bind-completed", "yes")
		if err := c.Tracker().Update(claims, claim, namespace); err != nil {
			c.t.Error(err)
		}
	}
	c.PrependReactor("update", "persistentvolumes", func(action clienttesting.Action) (bool, runtime.Object, error) {
		v := action.(clienttesting.UpdateAction).GetObject().(*corev1.PersistentVolume)
		if ref := v.Spec.ClaimRef; ref != nil {
			defer complete(ref.Namespace, ref.Name, v.Name)
		}
		return false, nil, nil
	})
	c.PrependReactor("update", "persistentvolumeclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
		claim := action.(clienttesting.UpdateAction).GetObject().(*corev1.PersistentVolumeClaim)
		if err := c.Tracker().Update(claims, claim, claim.Namespace); err != nil {
			return true, nil, err
		}
		if node := claim.Annotations["volume.kubernetes.io/selected-node"]; node != "" {
			v := volumeOn("made-for-"+claim.Name, "dynamic", "1Gi", node)
			if err := c.Tracker().Add(v); err != nil {
				return true, nil, err
			}
			complete(claim.Namespace, claim.Name, v.Name)
		}
		return true, claim, nil
	})
}

// A claim that waits for its first consumer gets the smallest volume that suits, on a node that suits, and another that is asked to be
// provisioned is bound before the pod is.
func TestVolumesAreBoundBeforeThePod(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("a", "4", "8Gi"), node("b", "4", "8Gi"),
		class("local", "kubernetes.io/no-provisioner", storagev1.VolumeBindingWaitForFirstConsumer), class("dynamic", "example.com/disk", storagev1.VolumeBindingWaitForFirstConsumer),
		volumeOn("large", "local", "10Gi", "b"), volumeOn("small", "local", "2Gi", "b"), volumeOn("tiny", "local", "500Mi", "a"),
		claim("data", "local", "1Gi"), claim("more", "dynamic", "1Gi"), claim("never", "local", "1Ti"))
	c.binder()
	c.start()
	c.add(pod("db", "1", "", withClaim("data"), withClaim("more")))
	if got := c.nodeOf("db"); got != "b" {
		t.Errorf("db is on %s", got)
	}
	for name, want := range map[string]string{"data": "small", "more": "made-for-more"} {
		claim, err := c.CoreV1().PersistentVolumeClaims("default").Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if claim.Spec.VolumeName != want {
			t.Errorf("claim %s has volume %q, want %q", name, claim.Spec.VolumeName, want)
		}
	}
	c.add(pod("greedy", "1", "", withClaim("never")))
	if got, want := c.refusal("greedy"), "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
	c.add(pod("lost", "1", "", withClaim("nowhere")))
	if got, want := c.refusal("lost"), `0/2 nodes are available: persistentvolumeclaim "nowhere" not found.`; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
	if _, err := c.CoreV1().PersistentVolumeClaims("default").Create(context.Background(), claim("nowhere", "dynamic", "1Gi"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.nodeOf("lost")
}

// Nodes take as many volumes of a driver as they say, and a claim for one pod only is not given to two.
func TestVolumeLimits(t *testing.T) {
	t.Parallel()
	bound := func(n string, modes ...corev1.PersistentVolumeAccessMode) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
		c := claim("c"+n, "csi", "1Gi")
		c.Spec.VolumeName, c.Spec.AccessModes = "v"+n, modes
		c.Annotations = map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
		v := volumeOn("v"+n, "csi", "1Gi", "a")
		v.Spec.NodeAffinity = nil
		v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "disk.example.com", VolumeHandle: n}
		return c, v
	}
	csiNode := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
		{Name: "disk.example.com", NodeID: "a", Allocatable: &storagev1.VolumeNodeResources{Count: ptr.To[int32](2)}}}}}
	c := fakeAPI(t, node("a", "4", "8Gi"), csiNode)
	for _, n := range []string{"1", "2", "3"} {
		claim, v := bound(n, corev1.ReadWriteOnce)
		for _, o := range []runtime.Object{claim, v} {
			if err := c.Tracker().Add(o); err != nil {
				t.Fatal(err)
			}
		}
	}
	once, v := bound("4", corev1.ReadWriteOncePod)
	v.Spec.CSI.Driver = "other.example.com"
	for _, o := range []runtime.Object{once, v} {
		if err := c.Tracker().Add(o); err != nil {
			t.Fatal(err)
		}
	}
	c.start()
	c.add(pod("one", "", "", withClaim("c1")), pod("two", "", "", withClaim("c2")), pod("shares", "", "", withClaim("c2")))
	c.nodeOf("one")
	c.nodeOf("two")
	c.nodeOf("shares")
	c.add(pod("three", "", "", withClaim("c3")))
	if got, want := c.refusal("three"), "0/1 nodes are available: 1 node(s) exceed max volume count."; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
	c.add(pod("first", "", "", withClaim("c4")))
	c.nodeOf("first")
	c.add(pod("second", "", "", withClaim("c4")))
	want := "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode."
	if got := c.refusal("second"); !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
}
