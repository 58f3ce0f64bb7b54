package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

// node is a node agent's volumes on a fake API server, with real mounts below a directory of the test's own.
type node struct {
	*Volumes
	t       *testing.T
	client  *fake.Clientset
	changed chan types.UID
}

func newNode(t *testing.T, objects ...interface{ GetName() string }) *node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	n := &node{t: t, client: fake.NewClientset(), changed: make(chan types.UID, 10)}
	for _, object := range objects {
		n.create(object)
	}
	n.Volumes = New(Config{
		RootDir: t.TempDir(), NodeName: "node-1", Client: n.client,
		Token: func(_ context.Context, namespace, account string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
			issued := request.DeepCopy()
			issued.Status.Token = namespace + "/" + account + " for " + strings.Join(request.Spec.Audiences, ",") + " in " + request.Spec.BoundObjectRef.Name
			issued.Status.ExpirationTimestamp = metav1.NewTime(time.Now().Add(time.Duration(*request.Spec.ExpirationSeconds) * time.Second))
			return issued, nil
		},
		Allocatable: func() corev1.ResourceList {
			return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi")}
		},
		Changed: func(uid types.UID) { n.changed <- uid },
	})
	t.Cleanup(func() {
		n.Close()
		if err := mountpoint.RemoveAll(n.config.RootDir); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *node) create(object any) {
	n.t.Helper()
	var err error
	switch o := object.(type) {
	case *corev1.ConfigMap:
		_, err = n.client.CoreV1().ConfigMaps("ns").Create(n.t.Context(), o, metav1.CreateOptions{})
	case *corev1.Secret:
		_, err = n.client.CoreV1().Secrets("ns").Create(n.t.Context(), o, metav1.CreateOptions{})
	case *corev1.PersistentVolume:
		_, err = n.client.CoreV1().PersistentVolumes().Create(n.t.Context(), o, metav1.CreateOptions{})
	case *corev1.PersistentVolumeClaim:
		_, err = n.client.CoreV1().PersistentVolumeClaims("ns").Create(n.t.Context(), o, metav1.CreateOptions{})
	default:
		n.t.Fatalf("cannot create %T", object)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) mount(pod *corev1.Pod) map[string]Mounted {
	n.t.Helper()
	mounted, err := n.Mount(n.t.Context(), pod)
	if err != nil {
		n.t.Fatal(err)
	}
	return mounted
}

// podWith is a Pod whose one container mounts all the volumes.
func podWith(volumes ...corev1.Volume) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", UID: "uid-1", Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{ServiceAccountName: "default", Volumes: volumes, Containers: []corev1.Container{{Name: "c"}}},
	}
	for _, volume := range volumes {
		pod.Spec.Containers[0].VolumeMounts = append(pod.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: volume.Name, MountPath: "/" + volume.Name})
	}
	return pod
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, ResourceVersion: "1"}, Data: data}
}

func fromConfigMap(volume, name string) corev1.Volume {
	return corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}}
}

func content(t *testing.T, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func permissions(t *testing.T, parts ...string) os.FileMode {
	t.Helper()
	info, err := os.Stat(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// eventually waits for a file to have some content.
func eventually(t *testing.T, want string, parts ...string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		data, err := os.ReadFile(filepath.Join(parts...))
		if err == nil && string(data) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %q (%v), want %q", filepath.Join(parts...), data, err, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// conformance: ConfigMap Volume, without mapping
// conformance: ConfigMap Volume, with mapping
// conformance: ConfigMap Volume, update
// conformance: ConfigMap Volume, with mapping, volume mode set
// conformance: ConfigMap Volume, multiple volume maps
func TestConfigMapFilesFollowTheObject(t *testing.T) {
	t.Parallel()
	n := newNode(t, configMap("cm", map[string]string{"a": "1", "b": "2"}))
	mapped := fromConfigMap("mapped", "cm")
	mode := int32(0o400)
	mapped.ConfigMap.Items = []corev1.KeyToPath{{Key: "a", Path: "path/to/a", Mode: &mode}}
	mounted := n.mount(podWith(fromConfigMap("all", "cm"), mapped))
	all := mounted["all"].HostPath
	if want := filepath.Join(n.config.RootDir, "pods/uid-1/volumes/kubernetes.io~configmap/all"); all != want {
		t.Errorf("mounted at %s, want %s", all, want)
	}
	if !mounted["all"].ReadOnly {
		t.Error("containers could write to a configMap volume")
	}
	if got := content(t, all, "a") + content(t, all, "b") + content(t, mounted["mapped"].HostPath, "path/to/a"); got != "121" {
		t.Errorf("files hold %q", got)
	}
	if got := permissions(t, all, "a").Perm(); got != 0o644 {
		t.Errorf("default mode is %o", got)
	}
	if got := permissions(t, mounted["mapped"].HostPath, "path/to/a").Perm(); got != 0o400 {
		t.Errorf("mode of the item is %o", got)
	}
	changed := configMap("cm", map[string]string{"a": "new"})
	changed.ResourceVersion = "2"
	if _, err := n.client.CoreV1().ConfigMaps("ns").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new", all, "a")
	eventually(t, "new", mounted["mapped"].HostPath, "path/to/a")
	// The new files come at once, and what leads to those that went is taken away right after.
	eventuallyTrue(t, func() bool { _, err := os.Lstat(filepath.Join(all, "b")); return os.IsNotExist(err) })
}

func TestMissingObjects(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	optional := fromConfigMap("optional", "later")
	yes := true
	optional.ConfigMap.Optional = &yes
	pod := podWith(optional, fromConfigMap("needed", "later"))
	_, err := n.Mount(t.Context(), pod)
	var failure *Failure
	if !errors.As(err, &failure) || failure.Volume != "needed" || !apierrors.IsNotFound(failure.Err) {
		t.Fatalf("error is %v", err)
	}
	if want := `MountVolume.SetUp failed for volume "needed" : configmap references: ns/later: configmaps "later" not found`; err.Error() != want {
		t.Errorf("error reads %q", err)
	}
	n.create(configMap("later", map[string]string{"k": "v"}))
	if uid := <-n.changed; uid != pod.UID {
		t.Errorf("told of %s", uid)
	}
	mounted := n.mount(pod)
	if content(t, mounted["needed"].HostPath, "k")+content(t, mounted["optional"].HostPath, "k") != "vv" {
		t.Error("files are not there")
	}
}

// conformance: Secrets Volume, volume mode 0440, fsGroup 1001 and uid 1000
func TestSecretsLieInMemory(t *testing.T) {
	t.Parallel()
	n := newNode(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Data: map[string][]byte{"key": []byte("hidden")}})
	mode, group := int32(0o440), int64(1001)
	pod := podWith(corev1.Volume{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s", DefaultMode: &mode}}})
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
	dir := n.mount(pod)["s"].HostPath
	if content(t, dir, "key") != "hidden" {
		t.Error("wrong content")
	}
	if is, err := mountpoint.Is(dir); err != nil || !is {
		t.Errorf("%s is no tmpfs (%v)", dir, err)
	}
	info, err := os.Stat(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Gid != 1001 || info.Mode().Perm() != 0o440 {
		t.Errorf("group %d, mode %v", stat.Gid, info.Mode())
	}
	if err := n.Unmount(t.Context(), pod.UID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the secret is still there: %v", err)
	}
}

// conformance: TokenRequestProjection should mount a projected volume with token using TokenRequest API.
// conformance: Projected Volume, DownwardAPI, update labels
// conformance: Projected Volume, DownwardAPI, CPU limit, node allocatable
func TestProjectedToken(t *testing.T) {
	t.Parallel()
	n := newNode(t, configMap("kube-root-ca.crt", map[string]string{"ca.crt": "CA"}))
	life := int64(600)
	pod := podWith(corev1.Volume{Name: "api", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "vault", ExpirationSeconds: &life}},
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}},
			{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}},
			{Path: "cpu", ResourceFieldRef: &corev1.ResourceFieldSelector{ContainerName: "c", Resource: "limits.cpu", Divisor: resource.MustParse("1m")}},
		}}},
	}}}})
	user := int64(1000)
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: &user}
	dir := n.mount(pod)["api"].HostPath
	for file, want := range map[string]string{
		"token": "ns/default for vault in pod", "ca.crt": "CA", "namespace": "ns", "labels": `app="web"`, "cpu": "4000",
	} {
		if got := content(t, dir, file); got != want {
			t.Errorf("%s holds %q, want %q", file, got, want)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 1000 || info.Mode().Perm() != 0o600 {
		t.Errorf("token belongs to %d with mode %v", stat.Uid, info.Mode())
	}
	relabelled := pod.DeepCopy()
	relabelled.Labels["tier"] = "front"
	n.mount(relabelled)
	if got := content(t, dir, "labels"); got != "app=\"web\"\ntier=\"front\"" {
		t.Errorf("labels hold %q", got)
	}
}

// conformance: EmptyDir, medium memory, volume mode default
// conformance: EmptyDir, medium default, volume mode default
func TestEmptyDirs(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	size := resource.MustParse("1Mi")
	group := int64(2000)
	pod := podWith(
		corev1.Volume{Name: "disk", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		corev1.Volume{Name: "memory", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &size}}},
	)
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
	mounted := n.mount(pod)
	for _, name := range []string{"disk", "memory"} {
		mode := permissions(t, mounted[name].HostPath)
		if mode.Perm() != 0o777 || mode&os.ModeSetgid == 0 {
			t.Errorf("%s has mode %v", name, mode)
		}
	}
	if err := os.WriteFile(filepath.Join(mounted["memory"].HostPath, "big"), make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing 2 MiB into 1 MiB: %v", err)
	}
	if err := os.WriteFile(filepath.Join(mounted["disk"].HostPath, "data"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := n.mount(pod)
	if content(t, again["disk"].HostPath, "data") != "kept" {
		t.Error("mounting again lost data")
	}
	usage, err := n.Usage(t.Context(), pod.UID)
	if err != nil || len(usage) != 2 {
		t.Errorf("usage is %+v, %v", usage, err)
	}
}

func TestHostPathTypes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind corev1.HostPathType
		path string
		want string
	}{
		{corev1.HostPathUnset, "/does/not/exist", ""},
		{corev1.HostPathDirectory, dir, ""},
		{corev1.HostPathDirectory, file, "hostPath type check failed: " + file + " is not a directory"},
		{corev1.HostPathDirectoryOrCreate, filepath.Join(dir, "made"), ""},
		{corev1.HostPathFile, file, ""},
		{corev1.HostPathFile, dir, "hostPath type check failed: " + dir + " is not a file"},
		{corev1.HostPathFileOrCreate, filepath.Join(dir, "new"), ""},
		{corev1.HostPathSocket, file, "hostPath type check failed: " + file + " is not a socket file"},
		{corev1.HostPathCharDev, "/dev/null", ""},
		{corev1.HostPathBlockDev, "/dev/null", "hostPath type check failed: /dev/null is not a block device"},
		{"Odd", dir, "Odd is an invalid volume type"},
	} {
		err := checkHostPath(&corev1.HostPathVolumeSource{Path: c.path, Type: &c.kind})
		if got := errorText(err); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.kind, c.path, got, c.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
