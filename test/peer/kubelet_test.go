package peer_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/cluster/containerd"
	"github.com/septet-io/septet/kubelet"
	"github.com/septet-io/septet/pki"
	testapi "github.com/septet-io/septet/test/apiserver"
	"github.com/septet-io/septet/test/images"
	"github.com/septet-io/septet/test/peer"
)

// nodeAddress is the node's own, in a network where nobody else is.
const nodeAddress = "192.0.2.20"

// alone runs the rest in a process that has a network namespace of its own; false in the one that only waits for it.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("containers need root")
	}
	if os.Getenv("SEPTET_PEER_ALONE") == t.Name() {
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		must(t, netlink.LinkSetUp(lo))
		address, err := netlink.ParseAddr(nodeAddress + "/32")
		must(t, err)
		must(t, netlink.AddrAdd(lo, address))
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}))
		return true
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), "SEPTET_PEER_ALONE="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	output, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runtime starts the carried containerd with a pod network and one image, and returns its endpoint.
func runtime(t *testing.T) string {
	t.Helper()
	config := containerd.Config{NodeName: fmt.Sprint("peer-", os.Getpid()), DataDir: t.TempDir()}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := containerd.Purge(ctx, config); err != nil {
			t.Errorf("purging: %v", err)
		}
	})
	r, err := containerd.Start(t.Context(), config)
	must(t, err)
	const network = `{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"septet-cni","bridge":"pods0","ranges":["10.244.0.0/24"],"capabilities":{"portMappings":true}}]}`
	must(t, os.WriteFile(filepath.Join(r.CNIConfDir(), "10-pods.conflist"), []byte(network), 0o600))
	_, err = r.ImportImage(t.Context(), images.Busybox(t))
	must(t, err)
	return r.Endpoint()
}

// kubeletArgs writes a configuration as kubeadm does, with a static Pod beside it, and returns upstream's flags for a kubelet.
func kubeletArgs(t *testing.T, endpoint, ca, kubeconfig string) []string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { unmount(t, dir) })
	manifests, config := filepath.Join(dir, "manifests"), filepath.Join(dir, "config.yaml")
	must(t, os.Mkdir(manifests, 0o700))
	must(t, os.WriteFile(filepath.Join(manifests, "static.yaml"), []byte(`
apiVersion: v1
kind: Pod
metadata: {name: static, namespace: default}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "`+images.BusyboxName+`", imagePullPolicy: Never, command: [sleep, "10000"]}]
`), 0o600))
	must(t, os.WriteFile(config, []byte(strings.NewReplacer("{ca}", ca, "{endpoint}", endpoint, "{dir}", dir).Replace(`
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "{ca}"}}
authorization: {mode: Webhook}
cgroupDriver: systemd # as kubeadm says, whatever the runtime does
cgroupsPerQOS: false
enforceNodeAllocatable: []
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
containerRuntimeEndpoint: "{endpoint}"
staticPodPath: "{dir}/manifests"
podLogsDir: "{dir}/logs"
failCgroupV1: false
failSwapOn: false
`)), 0o600))
	return []string{"--config=" + config, "--kubeconfig=" + kubeconfig, "--hostname-override=n1", "--node-ip=" + nodeAddress,
		"--root-dir=" + filepath.Join(dir, "root"), "--cert-dir=" + filepath.Join(dir, "pki"), "--node-labels=role=worker"}
}

// unmount lets go of what a kubelet has mounted below a folder, itself included.
func unmount(t *testing.T, dir string) {
	text, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	lines := strings.Split(string(text), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if words := strings.Fields(line); len(words) > 1 && strings.HasPrefix(words[1], dir) {
			must(t, syscall.Unmount(words[1], syscall.MNT_DETACH))
		}
	}
}

// Upstream's kubelet is a node of our control plane: its Pods run and are ready, static ones too, and their logs come through our server.
func TestUpstreamsKubeletOnOurServer(t *testing.T) {
	binary := peer.Program(t, "SEPTET_PEER_KUBELET")
	if !alone(t) {
		return
	}
	endpoint := runtime(t)
	var file string
	server := testapi.StartComplete(t, func(s *apiserver.Standard) {
		file = s.ClientCAFile
		ca, err := pki.LoadOrCreateAuthority(file, strings.TrimSuffix(file, ".crt")+".key", "test")
		must(t, err)
		own, err := ca.TLS(pki.Leaf{CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"system:masters"}, Client: true})
		must(t, err)
		s.Kubelet = &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own}} // as without --kubelet-certificate-authority
	})
	server.Namespace("default")
	kubeconfig := peer.Kubeconfig(t, server.CA, server.URL, "system:node:n1", "system:nodes")
	p, err := peer.Start(t.TempDir(), "kubelet", binary, kubeletArgs(t, endpoint, file, kubeconfig)...)
	must(t, err)
	t.Cleanup(p.Stop)
	works(t, server.Client(), p.Output)
	log, err := server.Client().CoreV1().Pods("default").GetLogs("web", &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil || string(log) != "started\n" {
		t.Errorf("log: %q, %v", log, err)
	}
}

// Our kubelet is a node of upstream's control plane.
func TestOurKubeletOnUpstreamsServer(t *testing.T) {
	peer.Program(t, "SEPTET_PEER_APISERVER")
	if !alone(t) {
		return
	}
	endpoint := runtime(t)
	server := peer.StartServer(t)
	admin := server.Client("admin", "system:masters")
	// That server has no node authorizer.
	_, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "nodes"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:nodes"}},
	}, metav1.CreateOptions{})
	must(t, err)
	run(t, kubelet.Command(), kubeletArgs(t, endpoint, server.CACert, server.Kubeconfig("system:node:n1", "system:nodes"))...)
	works(t, admin, func() string { return "" })
}

// works is what a kubelet must do on any server: register, run what is bound to it and what its folder says, and let go.
func works(t *testing.T, admin *client.Set, log func() string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	w := &world{Set: admin, t: t, ctx: ctx}
	w.eventually("Node", func() string {
		node, err := admin.CoreV1().Nodes().Get(ctx, "n1", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && node.Labels["role"] == "worker" {
				return ""
			}
		}
		return fmt.Sprint(node.Labels, node.Status.Conditions)
	})
	web := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.PodSpec{NodeName: "n1", TerminationGracePeriodSeconds: ptr.To[int64](0), AutomountServiceAccountToken: ptr.To(false)}}
	web.Spec.Volumes = []corev1.Volume{{Name: "page", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	web.Spec.Containers = []corev1.Container{{
		Name: "c", Image: images.BusyboxName, ImagePullPolicy: corev1.PullNever,
		Command:      []string{"sh", "-c", "echo started; echo ok > /page/f; exec httpd -f -p 8080 -h /page"},
		VolumeMounts: []corev1.VolumeMount{{Name: "page", MountPath: "/page"}},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/f", Port: intstr.FromInt32(8080)}}},
	}}
	_, err := admin.CoreV1().Pods("default").Create(ctx, web, metav1.CreateOptions{})
	must(t, err)
	for _, name := range []string{"web", "static-n1"} {
		w.eventually("Pod "+name, func() string {
			pod, err := admin.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
			if err != nil || pod.Status.Phase != corev1.PodRunning || len(pod.Status.ContainerStatuses) != 1 || !pod.Status.ContainerStatuses[0].Ready {
				return fmt.Sprint(pod.Status, err)
			}
			return ""
		})
	}
}
