package stats

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/cgroup"
	"github.com/septet-io/septet/kubelet/volume"
)

// runtime reports two sandboxes of one Pod, the second the later one.
type runtime struct{ images string }

func (r runtime) ListPodSandboxStats(context.Context, *runtimeapi.PodSandboxStatsFilter) ([]*runtimeapi.PodSandboxStats, error) {
	sandbox := func(attempt uint32, cpu uint64) *runtimeapi.PodSandboxStats {
		return &runtimeapi.PodSandboxStats{
			Attributes: &runtimeapi.PodSandboxAttributes{Metadata: &runtimeapi.PodSandboxMetadata{Uid: "uid", Attempt: attempt}},
			Linux: &runtimeapi.LinuxPodSandboxStats{
				Cpu:    &runtimeapi.CpuUsage{Timestamp: 1, UsageCoreNanoSeconds: &runtimeapi.UInt64Value{Value: cpu}},
				Memory: &runtimeapi.MemoryUsage{Timestamp: 1, WorkingSetBytes: &runtimeapi.UInt64Value{Value: 4096}},
				Network: &runtimeapi.NetworkUsage{DefaultInterface: &runtimeapi.NetworkInterfaceUsage{
					Name: "eth0", RxBytes: &runtimeapi.UInt64Value{Value: 10},
				}},
				Containers: []*runtimeapi.ContainerStats{{
					Attributes:    &runtimeapi.ContainerAttributes{Id: "id", Metadata: &runtimeapi.ContainerMetadata{Name: "c"}},
					WritableLayer: &runtimeapi.FilesystemUsage{UsedBytes: &runtimeapi.UInt64Value{Value: 1000}},
					Memory:        &runtimeapi.MemoryUsage{Timestamp: 1, WorkingSetBytes: &runtimeapi.UInt64Value{Value: 2048}},
				}},
			},
		}
	}
	return []*runtimeapi.PodSandboxStats{sandbox(0, 1), sandbox(1, 2)}, nil
}

func (r runtime) ImageFsInfo(context.Context) (*runtimeapi.ImageFsInfoResponse, error) {
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: []*runtimeapi.FilesystemUsage{{
		FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: r.images}, UsedBytes: &runtimeapi.UInt64Value{Value: 77},
	}}}, nil
}

func TestSummary(t *testing.T) {
	t.Parallel()
	tree, err := cgroup.New(cgroup.Config{})
	if err != nil {
		t.Skip(err)
	}
	root := t.TempDir()
	started := metav1.NewTime(time.Unix(1000, 0))
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", UID: "uid"},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}},
		}},
	}
	logs := filepath.Join(root, "logs")
	if err := os.MkdirAll(filepath.Join(logs, "ns_pod_uid", "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(logs, "ns_pod_uid", "c", "0.log"), make([]byte, 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	meter := &Meter{
		NodeName: "node", Runtime: runtime{root}, Cgroups: tree, Volumes: volume.New(volume.Config{RootDir: root, Client: fake.NewClientset()}),
		Pods: func() []*corev1.Pod { return []*corev1.Pod{pod, {ObjectMeta: metav1.ObjectMeta{UID: "not started"}}} }, RootDir: root, LogDir: logs,
	}
	summary, err := meter.Summary(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	node := summary.Node
	if node.NodeName != "node" || *node.CPU.UsageCoreNanoSeconds == 0 || *node.Memory.WorkingSetBytes == 0 || *node.Fs.CapacityBytes == 0 ||
		*node.Runtime.ImageFs.UsedBytes != 77 || *node.Rlimit.MaxPID == 0 {
		t.Errorf("node is %+v", node)
	}
	if len(summary.Pods) != 1 {
		t.Fatalf("%d pods", len(summary.Pods))
	}
	got := summary.Pods[0]
	container := got.Containers[0]
	if *got.CPU.UsageCoreNanoSeconds != 2 || *got.Memory.WorkingSetBytes != 4096 || got.Network.Name != "eth0" || *got.Network.RxBytes != 10 {
		t.Errorf("pod is %+v", got)
	}
	if container.Name != "c" || !container.StartTime.Equal(&started) || *container.Rootfs.UsedBytes != 1000 || *container.Logs.UsedBytes < 10_000 {
		t.Errorf("container is %+v", container)
	}
	if storage := *got.EphemeralStorage.UsedBytes; storage != 1000+*container.Logs.UsedBytes {
		t.Errorf("ephemeral storage is %d", storage)
	}
	brief, err := meter.Summary(t.Context(), true)
	if err != nil || brief.Node.Fs != nil || brief.Pods[0].Network != nil || brief.Pods[0].Memory == nil {
		t.Errorf("brief summary is %+v, %v", brief, err)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	var r rates
	at := time.Unix(0, 0)
	if r.of("x", at, 100) != nil {
		t.Error("one sample has no speed")
	}
	if r.of("x", at.Add(time.Millisecond), 200) != nil {
		t.Error("two samples that are too close have no speed")
	}
	if speed := r.of("x", at.Add(2*time.Second), 300); speed == nil || *speed != 100 {
		t.Errorf("speed is %v", speed)
	}
	if r.of("x", at.Add(3*time.Second), 10) != nil {
		t.Error("a counter that went back has no speed")
	}
	r.of("y", at.Add(time.Hour), 1)
	if len(r.samples) != 1 {
		t.Errorf("%d samples kept", len(r.samples))
	}
}
