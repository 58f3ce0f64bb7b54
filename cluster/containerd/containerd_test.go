package containerd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/test/images"
)

// hostPod is a pod on the host's network.
func hostPod(config Config, name, logs string) *runtimeapi.PodSandboxConfig {
	return &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "default", Uid: name + "-uid"},
		LogDirectory: logs,
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent: config.CgroupParent + "/" + name,
			SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
				NamespaceOptions: &runtimeapi.NamespaceOption{
					Network: runtimeapi.NamespaceMode_NODE, Pid: runtimeapi.NamespaceMode_CONTAINER,
				},
			},
		},
	}
}

// runContainer creates and starts a container of the busybox image in a pod.
func runContainer(t testing.TB, client cri, pod *runtimeapi.PodSandboxConfig, sandbox, name string, command ...string) string {
	t.Helper()
	created, err := client.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{
		PodSandboxId: sandbox, SandboxConfig: pod,
		Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: name},
			Image:    &runtimeapi.ImageSpec{Image: images.BusyboxName},
			Command:  command, LogPath: name + ".log",
			Linux: &runtimeapi.LinuxContainerConfig{
				Resources: &runtimeapi.LinuxContainerResources{MemoryLimitInBytes: 64 << 20},
				SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
					NamespaceOptions: pod.GetLinux().GetSecurityContext().GetNamespaceOptions(),
				},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		t.Fatal(err)
	}
	return created.ContainerId
}

func execSync(t testing.TB, client cri, container string, command ...string) string {
	t.Helper()
	answer, err := client.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: container, Cmd: command, Timeout: 30})
	if err != nil {
		t.Fatal(err)
	}
	if answer.ExitCode != 0 {
		t.Fatalf("%v: exit %d: %s", command, answer.ExitCode, answer.Stderr)
	}
	return string(answer.Stdout)
}

// A pod runs, survives the death of containerd and of septet, is adopted, and a purge leaves nothing of it.
func TestPodsOutliveContainerd(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	r := start(t, config)
	client := dial(t, r)
	names, err := r.ImportImage(t.Context(), images.Busybox(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 1 || names[0] != images.BusyboxName {
		t.Errorf("imported %q", names)
	}
	logs := t.TempDir()
	pod := hostPod(config, "web", logs)
	sandbox, err := client.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: pod})
	if err != nil {
		t.Fatal(err)
	}
	container := runContainer(t, client, pod, sandbox.PodSandboxId, "main", "sh", "-c", "echo hello; touch /here; sleep 1000")
	if out := execSync(t, client, container, "ls", "/here"); out != "/here\n" {
		t.Errorf("exec says %q", out)
	}
	if log, err := os.ReadFile(filepath.Join(logs, "main.log")); err != nil || !strings.Contains(string(log), " stdout F hello\n") {
		t.Errorf("log: %q, %v", log, err)
	}

	r.mu.Lock()
	first := r.current
	r.mu.Unlock()
	unix.Kill(first.PID, unix.SIGKILL)
	<-first.ended
	eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.current != nil && r.current != first
	})
	if out := execSync(t, client, container, "ls", "/here"); out != "/here\n" {
		t.Errorf("exec after containerd's death says %q", out)
	}

	// septet dies: its lock and its watch end, nothing else does.
	r.halt()
	again := start(t, config)
	if r.current.PID != again.current.PID {
		t.Errorf("not adopted: process %d, was %d", again.current.PID, r.current.PID)
	}
	if out := execSync(t, client, container, "ls", "/here"); out != "/here\n" {
		t.Errorf("exec after adoption says %q", out)
	}
	if _, err := Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), "another septet") {
		t.Errorf("a second septet on the same node: %v", err)
	}

	// Another configuration replaces containerd, and the pod does not notice.
	again.halt()
	config.LogLevel = "info"
	third := start(t, config)
	if third.current.PID == again.current.PID {
		t.Error("a containerd with another configuration was adopted")
	}
	if out := execSync(t, client, container, "ls", "/here"); out != "/here\n" {
		t.Errorf("exec after the replacement says %q", out)
	}

	if err := third.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectNothing(t, third.config)
}

// Force alone, without a containerd to ask, leaves nothing either.
func TestPurgeWithoutContainerd(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	r := start(t, config)
	client := dial(t, r)
	if _, err := r.ImportImage(t.Context(), images.Busybox(t)); err != nil {
		t.Fatal(err)
	}
	pod := hostPod(config, "web", t.TempDir())
	sandbox, err := client.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: pod})
	if err != nil {
		t.Fatal(err)
	}
	runContainer(t, client, pod, sandbox.PodSandboxId, "main", "sleep", "1000")
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := Purge(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	expectNothing(t, r.config)
}

// expectNothing looks for what a purged node could have left.
func expectNothing(t *testing.T, c Config) {
	t.Helper()
	if left, err := shims(c.socket()); err != nil || len(left) > 0 {
		t.Errorf("shims are left: %v, %v", left, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, c.StateDir) || strings.Contains(line, c.root()) {
			t.Errorf("a mount is left: %s", line)
		}
	}
	roots, err := cgroupRoots()
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		if _, err := os.Stat(filepath.Join(root, c.CgroupParent)); err == nil {
			t.Errorf("a cgroup is left: %s", filepath.Join(root, c.CgroupParent))
		}
	}
	for _, dir := range []string{c.StateDir, c.root()} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("a folder is left: %s", dir)
		}
	}
}

// eventually waits for a condition that another process brings about.
func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for pause := time.Millisecond; !condition(); pause = min(2*pause, 100*time.Millisecond) {
		if !sleep(ctx, pause) {
			t.Fatal("what was waited for did not happen")
		}
	}
}
