package volume

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conformance: [sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod [Conformance]
func TestSubPath(t *testing.T) {
	t.Parallel()
	n := newNode(t, configMap("cm", map[string]string{"key": "one"}))
	empty := corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
	pod := podWith(empty, fromConfigMap("cm", "cm"))
	mounted := n.mount(pod)
	data := mounted["data"].HostPath

	made, err := n.SubPath(pod.UID, "c", 0, "data", mounted["data"], "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if want := n.PodDir(pod.UID) + "/volume-subpaths/data/c/0"; made != want {
		t.Errorf("bound at %s, want %s", made, want)
	}
	if err := os.WriteFile(filepath.Join(made, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if content(t, data, "a/b/file") != "x" || permissions(t, data, "a/b").Perm() != 0o777 {
		t.Error("the directory in the volume is not the one that was bound, or has another mode")
	}

	file, err := n.SubPath(pod.UID, "c", 1, "cm", mounted["cm"], "key")
	if err != nil || content(t, file) != "one" {
		t.Fatalf("file of a configMap: %v", err)
	}
	changed := configMap("cm", map[string]string{"key": "two"})
	changed.ResourceVersion = "2"
	if _, err := n.client.CoreV1().ConfigMaps("ns").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two", mounted["cm"].HostPath, "key")
	if content(t, file) != "one" {
		t.Error("a running container's subPath changed")
	}
	if _, err := n.SubPath(pod.UID, "c", 1, "cm", mounted["cm"], "key"); err != nil || content(t, file) != "two" {
		t.Errorf("a restarted container does not see the new file (%v)", err)
	}
	if err := n.RemovePod(t.Context(), pod.UID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(n.PodDir(pod.UID)); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
}

// A Pod that plants links must not reach the host's files through them.
func TestSubPathStaysInside(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	pod := podWith(corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	m := n.mount(pod)["data"]
	for link, target := range map[string]string{"abs": "/etc", "up": "../../../..", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(m.HostPath, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(m.HostPath, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(m.HostPath, "inside")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"abs": "leads out of the volume", "abs/passwd": "leads out", "abs/new": "leads out", "up/etc": "leads out", "loop": "too many levels",
		"../x": "must not contain '..'", "/etc": "must not be an absolute path", "inside": "",
	} {
		_, err := n.SubPath(pod.UID, "c", 0, "data", m, path)
		if got := errorText(err); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
