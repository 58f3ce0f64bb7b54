package volume

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

func claimAndVolume(claim string, source corev1.PersistentVolumeSource) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	return &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: claim, UID: types.UID(claim)},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pv-" + claim},
			Status:     corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		}, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "pv-" + claim, Annotations: map[string]string{gidAnnotation: "42"}},
			Spec:       corev1.PersistentVolumeSpec{PersistentVolumeSource: source, ClaimRef: &corev1.ObjectReference{UID: types.UID(claim)}},
		}
}

func ofClaim(volume, claim string) corev1.Volume {
	return corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}
}

// What is on a persistent volume outlives the Pod, and only the mount goes with it.
func TestClaims(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	disk := t.TempDir()
	if err := os.WriteFile(filepath.Join(disk, "data"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	claim, pv := claimAndVolume("local", corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: disk}})
	n.create(claim)
	n.create(pv)
	claim, pv = claimAndVolume("host", corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: disk}})
	n.create(claim)
	n.create(pv)
	pod := podWith(ofClaim("a", "local"), ofClaim("b", "host"))
	group := int64(3000)
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
	mounted := n.mount(pod)
	dir := mounted["a"].HostPath
	if is, err := mountpoint.Is(dir); err != nil || !is || content(t, dir, "data") != "kept" {
		t.Errorf("local volume is not mounted at %s (%v)", dir, err)
	}
	if got := permissions(t, dir, "data").Perm(); got != 0o660 {
		t.Errorf("fsGroup left mode %o", got)
	}
	if mounted["b"].HostPath != disk || *mounted["b"].SupplementalGroup != 42 {
		t.Errorf("hostPath volume is %+v", mounted["b"])
	}
	if err := n.Unmount(t.Context(), pod.UID); err != nil {
		t.Fatal(err)
	}
	if content(t, disk, "data") != "kept" {
		t.Error("data is gone")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("mount is still there: %v", err)
	}
}

func TestClaimsThatCannotBeMounted(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	claim, pv := claimAndVolume("pending", corev1.PersistentVolumeSource{})
	claim.Status.Phase, claim.Spec.VolumeName = corev1.ClaimPending, ""
	n.create(claim)
	n.create(pv)
	claim, pv = claimAndVolume("stolen", corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}})
	pv.Spec.ClaimRef.UID = "other"
	n.create(claim)
	n.create(pv)
	for name, want := range map[string]string{
		"missing": `MountVolume.SetUp failed for volume "v" : error processing PVC ns/missing: failed to fetch PVC from API server: persistentvolumeclaims "missing" not found`,
		"pending": `MountVolume.SetUp failed for volume "v" : error processing PVC ns/pending: PVC ns/pending has non-bound phase ("Pending") or empty pvc.Spec.VolumeName ("")`,
		"stolen":  `MountVolume.SetUp failed for volume "v" : found PV object pv-stolen but its pv.Spec.ClaimRef.UID other does not point to claim.UID stolen`,
	} {
		_, err := n.Mount(t.Context(), podWith(ofClaim("v", name)))
		if got := errorText(err); got != want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}

// An agent that was killed and started again finds what it left, and can take it away without knowing the Pod.
func TestOrphans(t *testing.T) {
	t.Parallel()
	n := newNode(t, configMap("cm", map[string]string{"k": "v"}))
	disk := t.TempDir()
	claim, pv := claimAndVolume("local", corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: disk}})
	n.create(claim)
	n.create(pv)
	pod := podWith(fromConfigMap("cm", "cm"), ofClaim("a", "local"))
	mounted := n.mount(pod)
	if _, err := n.SubPath(pod.UID, "c", 0, "a", mounted["a"], "sub"); err != nil {
		t.Fatal(err)
	}
	next := New(n.config)
	defer next.Close()
	orphans, err := next.Orphans(func(types.UID) bool { return false })
	if err != nil || len(orphans) != 1 || orphans[0] != pod.UID {
		t.Fatalf("orphans are %v, %v", orphans, err)
	}
	if err := next.RemovePod(t.Context(), orphans[0]); err != nil {
		t.Fatal(err)
	}
	if orphans, err = next.Orphans(func(types.UID) bool { return false }); err != nil || len(orphans) != 0 {
		t.Errorf("left are %v, %v", orphans, err)
	}
	if permissions(t, disk, "sub").IsDir() != true {
		t.Error("the volume's own directory went with the Pod")
	}
}
