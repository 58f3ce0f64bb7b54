package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/test/images"
)

// BenchmarkPod starts and removes pods of one container, one after the other, and reports the median of every CRI call
// and the CPU time (of containerd, shims, runc and plugins together) for a pod, in milliseconds.
func BenchmarkPod(b *testing.B) {
	bench := newBench(b)
	for i := 0; b.Loop(); i++ {
		bench.pod(b, i)
	}
	bench.report(b)
}

// BenchmarkPods starts fifty pods at once and reports how long it takes until all run.
func BenchmarkPods(b *testing.B) {
	bench := newBench(b)
	for b.Loop() {
		var wait sync.WaitGroup
		var done []func()
		begin := time.Now()
		for i := range 50 {
			wait.Go(func() {
				end := bench.start(b, i)
				bench.mu.Lock()
				done = append(done, end)
				bench.mu.Unlock()
			})
		}
		wait.Wait()
		bench.note("all", time.Since(begin))
		for _, end := range done {
			wait.Go(end)
		}
		wait.Wait()
	}
	bench.report(b)
}

type bench struct {
	config Config
	client cri
	logs   string

	mu    sync.Mutex
	times map[string][]time.Duration
	cpu   time.Duration
}

func newBench(b *testing.B) *bench {
	r, client := networkNode(b)
	n := &bench{config: r.config, client: client, logs: b.TempDir(), times: map[string][]time.Duration{}}
	n.account(b, r.current.PID)
	return n
}

// pod is one pod from start to removal.
func (n *bench) pod(b *testing.B, i int) { n.start(b, i)() }

func (n *bench) start(b *testing.B, i int) (end func()) {
	pod := hostPod(n.config, fmt.Sprint("pod", i), n.logs)
	pod.Linux.SecurityContext.NamespaceOptions.Network = runtimeapi.NamespaceMode_POD
	var sandbox *runtimeapi.RunPodSandboxResponse
	var created *runtimeapi.CreateContainerResponse
	n.timed(b, "1-sandbox", func() (err error) {
		sandbox, err = n.client.RunPodSandbox(b.Context(), &runtimeapi.RunPodSandboxRequest{Config: pod})
		return err
	})
	n.timed(b, "2-create", func() (err error) {
		created, err = n.client.CreateContainer(b.Context(), &runtimeapi.CreateContainerRequest{
			PodSandboxId: sandbox.PodSandboxId, SandboxConfig: pod,
			Config: &runtimeapi.ContainerConfig{
				Metadata: &runtimeapi.ContainerMetadata{Name: "main"},
				Image:    &runtimeapi.ImageSpec{Image: images.BusyboxName},
				Command:  []string{"sleep", "1000"}, LogPath: fmt.Sprint(i, ".log"),
				Linux: &runtimeapi.LinuxContainerConfig{
					Resources:       &runtimeapi.LinuxContainerResources{CpuShares: 2},
					SecurityContext: &runtimeapi.LinuxContainerSecurityContext{NamespaceOptions: pod.Linux.SecurityContext.NamespaceOptions},
				},
			},
		})
		return err
	})
	n.timed(b, "3-start", func() error {
		_, err := n.client.StartContainer(b.Context(), &runtimeapi.StartContainerRequest{ContainerId: created.ContainerId})
		return err
	})
	return func() {
		n.timed(b, "4-exec", func() error {
			_, err := n.client.ExecSync(b.Context(), &runtimeapi.ExecSyncRequest{ContainerId: created.ContainerId, Cmd: []string{"true"}})
			return err
		})
		n.timed(b, "5-remove", func() error {
			if _, err := n.client.StopContainer(b.Context(), &runtimeapi.StopContainerRequest{ContainerId: created.ContainerId}); err != nil {
				return err
			}
			if _, err := n.client.StopPodSandbox(b.Context(), &runtimeapi.StopPodSandboxRequest{PodSandboxId: sandbox.PodSandboxId}); err != nil {
				return err
			}
			_, err := n.client.RemovePodSandbox(b.Context(), &runtimeapi.RemovePodSandboxRequest{PodSandboxId: sandbox.PodSandboxId})
			return err
		})
	}
}

func (n *bench) timed(b *testing.B, what string, f func() error) {
	begin := time.Now()
	if err := f(); err != nil {
		b.Errorf("%s: %v", what, err)
		return
	}
	n.note(what, time.Since(begin))
}

func (n *bench) note(what string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times[what] = append(n.times[what], d)
}

// report also shows what a pod's processes keep in memory, of those that run at the end: none, so it is left out.
func (n *bench) report(b *testing.B) {
	for what, times := range n.times {
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, what+"-ms")
	}
	if n.cpu >= 0 {
		used := n.used(b) - n.cpu
		b.ReportMetric(float64(used.Microseconds())/1000/float64(len(n.times["1-sandbox"])), "cpu-ms/pod")
	}
}

// account moves containerd below the pods' parent cgroup, so that the parent's CPU time is everybody's.
func (n *bench) account(b *testing.B, pid int) {
	n.cpu = -1
	dir := filepath.Join("/sys/fs/cgroup/cpuacct", n.config.CgroupParent, "runtime")
	if _, err := os.Stat("/sys/fs/cgroup/cpuacct"); err != nil {
		return // the unified hierarchy: not accounted
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		b.Fatal(err)
	}
	n.cpu = n.used(b)
}

func (n *bench) used(b *testing.B) time.Duration {
	content, err := os.ReadFile(filepath.Join("/sys/fs/cgroup/cpuacct", n.config.CgroupParent, "cpuacct.usage"))
	if err != nil {
		b.Fatal(err)
	}
	used, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(used)
}
