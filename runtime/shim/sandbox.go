package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// create starts a pod's sandbox: the pause program, in namespaces of its own, in the pod's cgroup, without privileges.
// Everything that pause has no use for (mounts, devices, the seccomp filter for a program that makes three system calls)
// is left out. Other containers, and sandboxes that ask for more, are left to runc.
func (c call) create() (verdict, string) {
	if c.bundle == "" || c.pidFile == "" {
		return leave, ""
	}
	content, err := os.ReadFile(filepath.Join(c.bundle, "config.json"))
	if err != nil {
		return leave, ""
	}
	var spec specs.Spec
	if !strings.Contains(string(content), `"io.kubernetes.cri.container-type":"sandbox"`) || json.Unmarshal(content, &spec) != nil {
		return leave, ""
	}
	b, ok := plan(&spec, c.bundle)
	if !ok {
		return leave, ""
	}
	if err := c.run(b); err != nil {
		return leave, ""
	}
	return done, ""
}

// sandbox is what is to be started.
type sandbox struct {
	root     string // the pause image's root folder
	hostname string
	uid, gid uint32
	flags    uintptr // of the namespaces to make
	netns    string  // the network namespace to join; empty for the host's
	sysctls  map[string]string
	oomScore *int
	cgroup   string
	shares   *uint64
}

// plan makes a sandbox from a container specification; false if there is something in it that pause alone cannot be.
func plan(spec *specs.Spec, bundle string) (*sandbox, bool) {
	p, l := spec.Process, spec.Linux
	if p == nil || l == nil || spec.Root == nil || spec.Hooks != nil || p.Terminal || p.User.UID == 0 ||
		p.ApparmorProfile != "" || p.SelinuxLabel != "" || len(p.Args) != 1 || p.Args[0] != "/pause" ||
		!strings.HasPrefix(spec.Annotations["io.kubernetes.cri.podsandbox.image-name"], "septet.io/pause:") ||
		!strings.HasPrefix(l.CgroupsPath, "/") || len(l.UIDMappings) > 0 {
		return nil, false
	}
	b := &sandbox{
		root: spec.Root.Path, hostname: spec.Hostname, uid: p.User.UID, gid: p.User.GID,
		sysctls: l.Sysctl, oomScore: p.OOMScoreAdj, cgroup: filepath.Clean(l.CgroupsPath),
	}
	if !filepath.IsAbs(b.root) {
		b.root = filepath.Join(bundle, b.root)
	}
	if l.Resources != nil && l.Resources.CPU != nil {
		b.shares = l.Resources.CPU.Shares
	}
	return b, b.namespaces(l.Namespaces) && b.settings()
}

// cloneFlags are the kinds of namespaces that are made for a sandbox.
var cloneFlags = map[specs.LinuxNamespaceType]uintptr{
	specs.PIDNamespace: unix.CLONE_NEWPID, specs.IPCNamespace: unix.CLONE_NEWIPC, specs.UTSNamespace: unix.CLONE_NEWUTS,
	specs.MountNamespace: unix.CLONE_NEWNS, specs.CgroupNamespace: unix.CLONE_NEWCGROUP,
}

func (b *sandbox) namespaces(list []specs.LinuxNamespace) bool {
	for _, n := range list {
		flag, known := cloneFlags[n.Type]
		switch {
		case n.Type == specs.NetworkNamespace && n.Path != "":
			b.netns = n.Path
		case known && n.Path == "":
			b.flags |= flag
		default:
			return false
		}
	}
	if b.flags&unix.CLONE_NEWUTS == 0 {
		b.hostname = "" // the host's name is not the pod's to change
	}
	return b.flags&unix.CLONE_NEWNS != 0
}

// settings says if all kernel settings are the network namespace's; those of other namespaces cannot be set from here.
func (b *sandbox) settings() bool {
	for name := range b.sysctls {
		if !strings.HasPrefix(name, "net.") || b.netns == "" || strings.Contains(name, "..") {
			return false
		}
	}
	return true
}

// run starts the sandbox and leaves its state where runc would.
func (c call) run(b *sandbox) (err error) {
	groups, err := makeCgroups(b.cgroup, b.shares)
	if err != nil {
		return err
	}
	pid := 0
	defer func() {
		if err == nil {
			return
		}
		if pid > 0 {
			_ = unix.Kill(pid, unix.SIGKILL) // the shim reaps it
		}
		groups.remove()
		_ = os.RemoveAll(c.dir())
	}()
	onOwnThread(func() { pid, err = b.start(groups) })
	if err != nil {
		return err
	}
	started, alive := processStart(pid)
	if !alive {
		return errors.New("pause has ended")
	}
	content, err := json.Marshal(state{PID: pid, Started: started, CgroupPaths: groups.paths, Sandbox: true})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir(), 0o711); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.dir(), "state.json"), content, 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.pidFile, []byte(strconv.Itoa(pid)), 0o644)
}

// onOwnThread calls f on a thread that ends afterwards, so that f may change the thread's namespaces and cgroups. The
// process's first thread cannot end; it waits if it is met.
func onOwnThread(f func()) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			onOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-finished
}

// start makes the calling thread what the sandbox is to be, as far as a thread can, and starts pause from it, which does
// the rest (see pause.c). It returns when pause is in its place.
func (b *sandbox) start(groups *cgroups) (int, error) {
	if err := b.enterNetwork(); err != nil {
		return 0, err
	}
	descriptor, err := groups.enter()
	if err != nil {
		return 0, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	problem, report, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer problem.Close()
	attr := &syscall.SysProcAttr{Cloneflags: b.flags}
	if descriptor != nil {
		defer descriptor.Close()
		attr.UseCgroupFD, attr.CgroupFD = true, int(descriptor.Fd())
	}
	args := []string{"/pause", b.root, b.hostname, strconv.FormatUint(uint64(b.uid), 10), strconv.FormatUint(uint64(b.gid), 10)}
	fd := null.Fd()
	pid, err := syscall.ForkExec(filepath.Join(b.root, "pause"), args, &syscall.ProcAttr{
		Dir: "/", Env: []string{}, Files: []uintptr{fd, fd, fd, report.Fd()}, Sys: attr,
	})
	report.Close()
	if err != nil {
		return 0, fmt.Errorf("starting pause: %w", err)
	}
	step, err := io.ReadAll(problem)
	if err == nil && len(step) > 0 {
		err = fmt.Errorf("pause failed at step %d", step[0])
	}
	if err == nil && b.oomScore != nil && *b.oomScore != 0 {
		err = setFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), strconv.Itoa(*b.oomScore))
	}
	return pid, err
}

// enterNetwork moves the thread into the pod's network namespace and sets the pod's kernel settings there.
func (b *sandbox) enterNetwork() error {
	if b.netns == "" {
		return nil
	}
	f, err := os.Open(b.netns)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("setns", err)
	}
	for name, value := range b.sysctls {
		// Dots part the levels; a slash stands for a dot in a name (sysctl.d(5)).
		path := strings.NewReplacer(".", "/", "/", ".").Replace(name)
		if err := setFile("/proc/sys/"+path, value); err != nil {
			return err
		}
	}
	return nil
}
