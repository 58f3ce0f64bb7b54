package persistentvolume

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
)

// world runs the binder, which makes directories for class "local".
func world(t *testing.T, provisioners []Provisioner, objects ...runtime.Object) *controltest.World {
	t.Helper()
	w := controltest.New(t, objects...)
	binder, err := New(w.Set, w.Events, provisioners...)
	if err != nil {
		t.Fatal(err)
	}
	w.Run(binder...)
	return w
}

func getClaim(w *controltest.World) (*corev1.PersistentVolumeClaim, error) {
	return w.CoreV1().PersistentVolumeClaims("default").Get(context.Background(), "data", metav1.GetOptions{})
}

// claimIs says what is wrong with a claim that is to be in a phase, with a volume.
func claimIs(w *controltest.World, phase corev1.PersistentVolumeClaimPhase, volume string) func() string {
	return func() string {
		c, err := getClaim(w)
		if err != nil {
			return err.Error()
		}
		if c.Status.Phase != phase || c.Spec.VolumeName != volume {
			return "the claim is " + string(c.Status.Phase) + " with volume " + c.Spec.VolumeName
		}
		return ""
	}
}

// volumeIs says what is wrong with a volume that is to be in a phase; with an empty phase it is to be gone.
func volumeIs(w *controltest.World, name string, phase corev1.PersistentVolumePhase) func() string {
	return func() string {
		v, err := w.CoreV1().PersistentVolumes().Get(context.Background(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) && phase == "" {
			return ""
		}
		if err != nil {
			return err.Error()
		}
		if v.Status.Phase != phase {
			return name + " is " + string(v.Status.Phase)
		}
		return ""
	}
}

// A claim gets a volume, keeps it, and leaves it behind.
func TestBindAndRelease(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := world(t, nil, claim(), volume("big", "9Gi"), volume("fit", "2Gi"))
	w.Eventually(claimIs(w, corev1.ClaimBound, "fit"))
	w.Eventually(volumeIs(w, "fit", corev1.VolumeBound))
	w.Eventually(volumeIs(w, "big", corev1.VolumeAvailable))
	c, err := getClaim(w)
	if err != nil {
		t.Fatal(err)
	}
	if c.Annotations[bindCompleted] != "yes" || c.Annotations[boundByUs] != "yes" || c.Status.Capacity.Storage().String() != "2Gi" || len(c.Status.AccessModes) != 1 {
		t.Errorf("%v, %v", c.Annotations, c.Status)
	}
	v, err := w.CoreV1().PersistentVolumes().Get(ctx, "fit", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ref := v.Spec.ClaimRef; ref.Name != "data" || ref.UID != "c-1" || v.Annotations[boundByUs] != "yes" {
		t.Errorf("%v, %v", ref, v.Annotations)
	}
	if err := w.CoreV1().PersistentVolumeClaims("default").Delete(ctx, "data", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(volumeIs(w, "fit", corev1.VolumeReleased))
}

// A claim waits until a volume comes that fits.
func TestVolumeComesLate(t *testing.T) {
	t.Parallel()
	w := world(t, nil, claim(func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = nil }))
	w.Told("Normal FailedBinding no persistent volumes available for this claim and no storage class is set")
	w.Eventually(claimIs(w, corev1.ClaimPending, ""))
	late := volume("late", "1Gi", func(v *corev1.PersistentVolume) { v.Spec.StorageClassName = "" })
	if _, err := w.CoreV1().PersistentVolumes().Create(context.Background(), late, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(claimIs(w, corev1.ClaimBound, "late"))
}

func TestWhyClaimsWait(t *testing.T) {
	t.Parallel()
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "slow"}, Provisioner: "example.com/disk"}
	waiting := class.DeepCopy()
	waiting.VolumeBindingMode = ptr.To(storagev1.VolumeBindingWaitForFirstConsumer)
	for _, test := range []struct {
		name    string
		objects []runtime.Object
		told    string
	}{
		{"no such class", nil, `Warning ProvisioningFailed storageclass.storage.k8s.io "slow" not found`},
		{"waits for a Pod, though a volume is there", []runtime.Object{waiting, volume("free", "1Gi")}, "Normal WaitForFirstConsumer waiting for first consumer to be created before binding"},
		{"somebody else provisions", []runtime.Object{class}, "Normal ExternalProvisioning Waiting for a volume to be created either by the external provisioner 'example.com/disk' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := world(t, nil, append(test.objects, claim())...)
			w.Told(test.told)
			w.Eventually(claimIs(w, corev1.ClaimPending, ""))
		})
	}
}

func TestLostVolume(t *testing.T) {
	t.Parallel()
	w := world(t, nil, claim(func(c *corev1.PersistentVolumeClaim) {
		c.Spec.VolumeName, c.Status.Phase = "gone", corev1.ClaimBound
		c.Annotations = map[string]string{bindCompleted: "yes"}
	}))
	w.Told("Warning ClaimLost Bound claim has lost its PersistentVolume. Data on the volume is lost!")
	w.Eventually(claimIs(w, corev1.ClaimLost, "gone"))
}

// A directory is made on the node that the scheduler chose, bound, and removed with its claim.
func TestProvision(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	removed := make(chan string, 1)
	local := &LocalPath{Provisioner: "septet.io/local", Root: "/volumes", Remove: func(_ context.Context, node, path string) error {
		removed <- node + ":" + path
		return nil
	}}
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "slow"}, Provisioner: "septet.io/local", VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{corev1.LabelHostname: "n"}}}
	w := world(t, []Provisioner{local}, class, node, claim())
	w.Told("Normal WaitForFirstConsumer waiting for first consumer to be created before binding")
	w.Eventually(claimIs(w, corev1.ClaimPending, ""))
	chosen, err := getClaim(w)
	if err != nil {
		t.Fatal(err)
	}
	setAnnotation(&chosen.ObjectMeta, selectedNode, "n")
	if _, err := w.CoreV1().PersistentVolumeClaims("default").Update(ctx, chosen, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Told("Normal ProvisioningSucceeded Successfully provisioned volume pvc-c-1 using septet.io/local")
	w.Eventually(claimIs(w, corev1.ClaimBound, "pvc-c-1"))
	w.Eventually(volumeIs(w, "pvc-c-1", corev1.VolumeBound))
	v, err := w.CoreV1().PersistentVolumes().Get(ctx, "pvc-c-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if v.Annotations[provisionedBy] != "septet.io/local" || v.Spec.HostPath.Path != "/volumes/pvc-c-1" || nodeOf(v) != "n" {
		t.Errorf("%v, %v", v.Annotations, v.Spec)
	}
	if err := w.CoreV1().PersistentVolumeClaims("default").Delete(ctx, "data", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(volumeIs(w, "pvc-c-1", ""))
	if got := <-removed; got != "n:/volumes/pvc-c-1" {
		t.Errorf("removed %s", got)
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	mounting := corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}
	ephemeral := corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}
	pod := func(name, node string, phase corev1.PodPhase, going bool, volumes ...corev1.Volume) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{NodeName: node, Volumes: volumes}}
		p.Status.Phase = phase
		if going {
			p.DeletionTimestamp = &metav1.Time{}
		}
		return p
	}
	for _, test := range []struct {
		name  string
		claim string
		pod   *corev1.Pod
		used  bool
	}{
		{"runs", "data", pod("p", "n", corev1.PodRunning, false, mounting), true},
		{"waits for a node", "data", pod("p", "", corev1.PodPending, false, mounting), true},
		{"on its way out of its node", "data", pod("p", "n", corev1.PodRunning, true, mounting), true},
		{"went before it had a node", "data", pod("p", "", corev1.PodPending, true, mounting), false},
		{"over", "data", pod("p", "n", corev1.PodSucceeded, false, mounting), false},
		{"mounts something else", "other", pod("p", "n", corev1.PodRunning, false, mounting), false},
		{"its ephemeral volume", "p-data", pod("p", "n", corev1.PodRunning, false, ephemeral), true},
		{"mounts nothing", "data", pod("p", "n", corev1.PodRunning, false), false},
	} {
		c := claim(func(c *corev1.PersistentVolumeClaim) { c.Name = test.claim })
		if got := uses(test.pod, c); got != test.used {
			t.Errorf("%s: used %t", test.name, got)
		}
	}
}

// What is in use has a finalizer; it goes when the use does.
func TestProtection(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"},
		Spec: corev1.PodSpec{NodeName: "n", Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
		}}}},
	}
	bound := volume("bound", "1Gi")
	bound.Status.Phase = corev1.VolumeBound
	w := controltest.New(t, claim(), pod, bound)
	w.Run(w.Must(NewClaimProtection(w.Set)), w.Must(NewVolumeProtection(w.Set)))
	held := func(get func() ([]string, error), finalizer string, want bool) {
		t.Helper()
		w.Eventually(func() string {
			finalizers, err := get()
			if apierrors.IsNotFound(err) && !want {
				return ""
			}
			if err != nil {
				return err.Error()
			}
			if slices.Contains(finalizers, finalizer) != want {
				return "finalizers: " + finalizer
			}
			return ""
		})
	}
	ofClaim := func() ([]string, error) {
		c, err := getClaim(w)
		if err != nil {
			return nil, err
		}
		return c.Finalizers, nil
	}
	ofVolume := func() ([]string, error) {
		v, err := w.CoreV1().PersistentVolumes().Get(ctx, "bound", metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return v.Finalizers, nil
	}
	held(ofClaim, claimFinalizer, true)
	held(ofVolume, volumeFinalizer, true)
	c, err := getClaim(w)
	if err != nil {
		t.Fatal(err)
	}
	going := metav1.Now()
	c.DeletionTimestamp = &going
	if _, err := w.CoreV1().PersistentVolumeClaims("default").Update(ctx, c, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.CoreV1().Pods("default").Delete(ctx, "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	held(ofClaim, claimFinalizer, false)

	v, err := w.CoreV1().PersistentVolumes().Get(ctx, "bound", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v.Status.Phase = corev1.VolumeReleased
	if v, err = w.CoreV1().PersistentVolumes().UpdateStatus(ctx, v, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	v.DeletionTimestamp = &going
	if _, err := w.CoreV1().PersistentVolumes().Update(ctx, v, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	held(ofVolume, volumeFinalizer, false)
}
