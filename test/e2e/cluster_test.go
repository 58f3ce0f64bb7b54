// Package e2e runs a whole cluster of two nodes with real containers on this machine, and uses it as people do, with
// kubectl. It needs root, and bin/septet with all that it carries.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/septet-io/septet/test/images"
)

// patience is how long anything may take that the cluster does by itself. It only matters when something is broken.
const patience = 90 * time.Second

// cluster is the cluster under test: one for all tests, since only one fits on a machine.
type cluster struct {
	septet, data, kubeconfig string
}

// binary finds bin/septet; without it, or without root, there is nothing to test.
func binary(t *testing.T) string {
	t.Helper()
	file := os.Getenv("SEPTET_BINARY")
	if file == "" {
		file = filepath.Join("..", "..", "bin", "septet")
	}
	absolute, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(absolute); err != nil {
		t.Skipf("no binary to test: %v (make build)", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("a node needs root")
	}
	return absolute
}

// start brings the cluster up; it is taken down when the test ends, and then nothing of it may be left.
func start(t *testing.T, nodes int) *cluster {
	t.Helper()
	data, err := os.MkdirTemp("/var/tmp", "septet-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{septet: binary(t), data: data, kubeconfig: filepath.Join(data, "admin.kubeconfig")}
	before := leftovers(data)
	t.Cleanup(func() {
		if t.Failed() {
			c.tellWhy(t)
		}
		c.run(t, "down", "--data-dir", data, "--write-kubeconfig", "none")
		for what := range leftovers(data) {
			if !before[what] {
				t.Errorf("left behind: %s", what)
			}
		}
	})
	c.serve(t, nodes)
	c.load(t, images.Busybox(t, "septet.test/busybox:1"))
	return c
}

// serve starts the server in the background.
func (c *cluster) serve(t *testing.T, nodes int) {
	t.Helper()
	c.run(t, "server", "--background", "--data-dir", c.data, "--write-kubeconfig", "none", "--nodes", strconv.Itoa(nodes))
	c.eventually(t, "all nodes are ready", func() error {
		ready := c.kubectl(t, "get", "nodes", "-o", `jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}`)
		if strings.Count(ready, "True") != nodes {
			return fmt.Errorf("ready: %q", ready)
		}
		return nil
	})
}

// load imports an image into every node.
func (c *cluster) load(t *testing.T, archive string) {
	t.Helper()
	c.run(t, "image", "load", "--data-dir", c.data, archive)
}

// tellWhy prints what a failed test is understood from.
func (c *cluster) tellWhy(t *testing.T) {
	for _, args := range [][]string{{"get", "pods", "-A", "-o", "wide"}, {"get", "events", "-A", "--sort-by=.lastTimestamp"}, {"get", "nodes", "-o", "wide"}, {"describe", "nodes"}} {
		out, err := c.try(args...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	logs, err := filepath.Glob(filepath.Join(c.data, "machines", "*", "septet.log"))
	if err != nil {
		t.Error(err)
	}
	for _, file := range append(logs, filepath.Join(c.data, "septet.log")) {
		if log, err := os.ReadFile(file); err == nil {
			t.Logf("%s, its end:\n%s", file, log[max(0, len(log)-4000):])
		}
	}
}

// run runs septet itself.
func (c *cluster) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(c.septet, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("septet %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// command is a kubectl command for the cluster: the carried one.
func (c *cluster) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.septet, append([]string{"kubectl"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	return cmd
}

// try runs kubectl and returns all that it said.
func (c *cluster) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := c.command(ctx, args...).CombinedOutput()
	return string(out), err
}

// kubectl runs kubectl, which must succeed.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// apply applies a manifest given as text.
func (c *cluster) apply(t *testing.T, manifest string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := c.command(ctx, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("apply: %v\n%s", err, out)
	}
}

// eventually waits until holds returns nil.
func (c *cluster) eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s: %v", what, patience, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// expect waits until a kubectl command says exactly this.
func (c *cluster) expect(t *testing.T, want string, args ...string) {
	t.Helper()
	c.eventually(t, strings.Join(args, " "), func() error {
		out, err := c.try(args...)
		if err != nil || strings.TrimSpace(out) != want {
			return fmt.Errorf("%v: %q, want %q", err, strings.TrimSpace(out), want)
		}
		return nil
	})
}

// fetch gets a page from within a Pod.
func (c *cluster) fetch(pod, url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := c.command(ctx, "exec", pod, "--", "timeout", "5", "wget", "-q", "-O", "-", url).Output()
	return strings.TrimSpace(string(out)), err
}

// names lists the objects that a selector finds.
func (c *cluster) names(t *testing.T, kind, selector string) []string {
	t.Helper()
	return strings.Fields(c.kubectl(t, "get", kind, "-l", selector, "-o", `jsonpath={.items[*].metadata.name}`))
}

// pid is the server's process.
func (c *cluster) pid(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.data, "septet.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// kill ends a process as a power cut would, and waits until it is gone.
func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		// A process whose first thread is a zombie still has its sockets and locks while other threads end.
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if errors.Is(err, os.ErrNotExist) || bytes.Contains(state, []byte(") Z ")) && len(threads) <= 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not end", pid)
		}
	}
}

// leftovers lists what of a cluster may be on this machine: mounts, devices, namespaces, processes, kernel rules, kernel settings, cgroups and files.
func leftovers(data string) map[string]bool {
	found := map[string]bool{}
	add := func(kind, text string, of ...string) {
		for _, line := range strings.Split(text, "\n") {
			for _, word := range of {
				if strings.Contains(line, word) {
					found[kind+" "+strings.TrimSpace(line)] = true
				}
			}
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts") // nothing to compare is no leftover
	add("mount", string(mounts), data)
	devices, _ := filepath.Glob("/sys/class/net/septet*")
	for _, device := range devices {
		found["device "+device] = true
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range processes {
		line, _ := os.ReadFile(file)
		add("process", strings.ReplaceAll(string(line), "\x00", " "), data+"/")
	}
	for _, pattern := range []string{data + "/*", "/run/septet", "/sys/fs/cgroup/septet", "/sys/fs/cgroup/*/septet", "/run/containerd/*/*"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			found["file "+file] = true
		}
	}
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/netfilter/nf_conntrack_max"} {
		value, _ := os.ReadFile("/proc/sys/" + name)
		found["kernel setting "+name+" "+strings.TrimSpace(string(value))] = true
	}
	tables, _ := (&nftables.Conn{}).ListTables()
	for _, table := range tables {
		found["nftables table "+table.Name] = true
	}
	return found
}
