package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/go-runc"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestCommandLines(t *testing.T) {
	t.Parallel()
	common := []string{"runc", "--root", "/r", "--log", "/l", "--log-format", "json"}
	for line, want := range map[string]call{
		"create --bundle /b --pid-file /p id": {root: "/r", command: "create", id: "id", bundle: "/b", pidFile: "/p"},
		"start id":                            {root: "/r", command: "start", id: "id"},
		"kill --all id 9":                     {root: "/r", command: "kill", id: "id", all: true},
		"delete --force id":                   {root: "/r", command: "delete", id: "id", force: true},
	} {
		got, ok := parseCall(append(common, strings.Fields(line)...))
		got.ignored, got.rest = "", nil
		if !ok || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, %+v", line, ok, got)
		}
	}
	for _, line := range []string{"create --bundle /b --console-socket /s id", "start ../id", "start", "kill --all", "--version", "delete --force"} {
		if got, ok := parseCall(append(common, strings.Fields(line)...)); ok && got.command != "" {
			t.Errorf("%s: understood as %+v", line, got)
		}
	}
}

// sandboxSpec is a specification as containerd's CRI writes it, as far as it matters here.
func sandboxSpec(id string) *specs.Spec {
	shares := uint64(2)
	spec := &specs.Spec{
		Process:     &specs.Process{Args: []string{"/pause"}, User: specs.User{UID: 65535, GID: 65534}},
		Root:        &specs.Root{Path: "rootfs"},
		Hostname:    "web-0",
		Annotations: map[string]string{"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.podsandbox.image-name": "septet.io/pause:1"},
		Linux: &specs.Linux{
			CgroupsPath: "/septet-shim-test/" + id, Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: &shares}},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
			},
		},
	}
	if os.Getenv("SEPTET_CGROUP2") != "" { // as CRI does where there is cgroup v2 alone
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	return spec
}

func TestWhatIsLeftToRunc(t *testing.T) {
	t.Parallel()
	if _, ok := plan(sandboxSpec("x"), "/bundle"); !ok {
		t.Error("a plain sandbox is left to runc")
	}
	for name, change := range map[string]func(*specs.Spec){
		"user namespace": func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		},
		"another's IPC": func(s *specs.Spec) { s.Linux.Namespaces[1].Path = "/proc/1/ns/ipc" },
		"hooks":         func(s *specs.Spec) { s.Hooks = &specs.Hooks{} },
		"root":          func(s *specs.Spec) { s.Process.User.UID = 0 },
		"another pause": func(s *specs.Spec) {
			s.Annotations["io.kubernetes.cri.podsandbox.image-name"] = "registry.k8s.io/pause:3.10"
		},
		"IPC settings":     func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel.shm_rmid_forced": "1"} },
		"systemd's cgroup": func(s *specs.Spec) { s.Linux.CgroupsPath = "a.slice:cri:x" },
		"SELinux":          func(s *specs.Spec) { s.Process.SelinuxLabel = "x" },
		"network of its own": func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
		},
		"no mount namespace":   func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[:3] },
		"settings of the host": func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"} },
	} {
		spec := sandboxSpec("x")
		change(spec)
		if _, ok := plan(spec, "/bundle"); ok {
			t.Errorf("%s: not left to runc", name)
		}
	}
}

// TestSandbox lives through a sandbox's life without runc, with the cgroups of this host, and, in a mount namespace where
// there is nothing else, with cgroup v2.
func TestSandbox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("must be root")
	}
	t.Run("host", sandboxLife)
	if os.Getenv("SEPTET_CGROUP2") != "" {
		return
	}
	t.Run("cgroup v2", func(t *testing.T) {
		const script = `mount --make-rprivate / && umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$0" -test.run '^TestSandbox$' -test.v`
		cmd := exec.Command("sh", "-c", script, os.Args[0])
		cmd.Env = append(os.Environ(), "SEPTET_CGROUP2=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

func sandboxLife(t *testing.T) {
	bundle, root := t.TempDir(), t.TempDir()
	id := "sandbox" + strconv.Itoa(os.Getpid())
	buildPause(t, filepath.Join(bundle, "rootfs"))
	content, err := json.Marshal(sandboxSpec(id))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(bundle, "pid")
	runc := func(want verdict, args ...string) {
		t.Helper()
		c, ok := parseCall(append([]string{"runc", "--root", root}, args...))
		if !ok {
			t.Fatalf("%v: not understood", args)
		}
		if got, message := c.do(); got != want {
			t.Fatalf("%v: %v %s", args, got, message)
		}
	}
	runc(done, "create", "--bundle", bundle, "--pid-file", pidFile, id)
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(string(text))
	defer unix.Kill(pid, unix.SIGKILL)
	examine(t, pid, id)
	runc(done, "start", id)
	runc(leave, "delete", id) // runc is to say that it runs
	runc(done, "kill", id, "15")
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	runc(failed, "kill", id, "9")
	runc(done, "kill", "--all", id, "9")
	runc(done, "delete", id)
	runc(done, "delete", "--force", id)
	mounted, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, mount := range mounted {
		if _, err := os.Stat(filepath.Join(mount, "septet-shim-test", id)); err == nil {
			t.Errorf("%s: the cgroup is left", mount)
		}
		removeCgroup(filepath.Join(mount, "septet-shim-test"))
	}
}

// examine looks at the pause program from outside.
func examine(t *testing.T, pid int, id string) {
	t.Helper()
	read := func(name string) string {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Error(err)
		}
		return string(content)
	}
	if got := read("cmdline"); got != "/pause\x00" {
		t.Errorf("command line %q", got)
	}
	for _, want := range []string{"Uid:\t65535\t65535\t65535\t65535", "Gid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Groups:\t \n"} {
		if !strings.Contains(read("status"), want) {
			t.Errorf("the status lacks %q", want)
		}
	}
	if mounts := strings.Count(read("mountinfo"), "\n"); mounts != 1 {
		t.Errorf("%d mounts in the sandbox, want its root alone", mounts)
	}
	for _, ns := range []string{"pid", "ipc", "uts", "mnt"} {
		own, _ := os.Readlink("/proc/self/ns/" + ns)
		if its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns)); err != nil || its == own {
			t.Errorf("the %s namespace is ours: %s, %v", ns, its, err)
		}
	}
	for line := range strings.Lines(read("cgroup")) {
		if mounted, _ := hierarchies(); (mounted[""] == "") == strings.HasPrefix(line, "0::") {
			continue // not the kind that is in use
		}
		if !strings.HasSuffix(line, "/septet-shim-test/"+id+"\n") {
			t.Errorf("in the cgroup %s", line)
		}
	}
}

func buildPause(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gcc", "-Os", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-o", filepath.Join(dir, "pause"), "../pause/pause.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("gcc: %v: %s", err, out)
	}
}

// A container is started by reading from its fifo; one whose first process dies on the way there is left to runc.
func TestStart(t *testing.T) {
	t.Parallel()
	for name, lives := range map[string]bool{"lives": true, "dies": false} {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "id"), 0o700); err != nil {
			t.Fatal(err)
		}
		fifo := filepath.Join(root, "id", "exec.fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		script, want := `read wait; echo 0 > "$0"; sleep 100`, done
		if !lives {
			script, want = `read wait`, leave
		}
		first := exec.Command("sh", "-c", script, fifo)
		gate, err := first.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		started, _ := processStart(first.Process.Pid)
		content, err := json.Marshal(state{PID: first.Process.Pid, Started: started})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "id", "state.json"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		got := make(chan verdict)
		go func() {
			result, _ := call{root: root, command: "start", id: "id"}.do()
			got <- result
		}()
		gate.Close() // it goes on while start waits
		if result := <-got; result != want {
			t.Errorf("the first process %s: %v, want %v", name, result, want)
		}
		if _, err := os.Lstat(fifo); lives == (err == nil) {
			t.Errorf("the first process %s: fifo: %v", name, err)
		}
		first.Process.Kill()
		first.Wait()
	}
}

// monitor notes that a command was executed.
type monitor struct{ runc.ProcessMonitor }

func (m monitor) Start(*exec.Cmd) (chan runc.Exit, error) { return nil, os.ErrProcessDone }

func TestWhatCannotBeDoneIsExecuted(t *testing.T) {
	t.Parallel()
	q := quick{monitor{}}
	root := t.TempDir()
	if _, err := q.Start(exec.Command("runc", "--root", root, "start", "absent")); err != os.ErrProcessDone {
		t.Errorf("starting an unknown container was not left to runc: %v", err)
	}
	var out bytes.Buffer
	cmd := exec.Command("runc", "--root", root, "delete", "--force", "absent")
	cmd.Stderr = &out
	ended, err := q.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := q.Wait(cmd, ended); status != 0 || err != nil || out.Len() > 0 {
		t.Errorf("%d, %v, %s", status, err, out.String())
	}
}
