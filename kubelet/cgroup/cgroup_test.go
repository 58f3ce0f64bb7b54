package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func list(cpu, memory string) corev1.ResourceList {
	found := corev1.ResourceList{}
	if cpu != "" {
		found[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		found[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	return found
}

func pod(uid string, requests, limits corev1.ResourceList) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}},
		}},
	}
}

// tree is a real one on this host, in a group of its own that goes with the test.
func tree(t *testing.T) *Tree {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("cgroups need root")
	}
	tree, err := New(Config{Root: fmt.Sprintf("/septet-test-%d-%s", os.Getpid(), t.Name()), PidsLimit: 100})
	if err != nil {
		t.Skip(err)
	}
	if err := tree.Setup(list("2", "1Gi")); err != nil {
		t.Skipf("cgroups cannot be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := tree.Remove(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

func (t *Tree) read(controller, group, file string) string {
	data, err := os.ReadFile(filepath.Join(t.files.dir(controller, group), file))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data))
}

func TestTreeOnThisHost(t *testing.T) {
	t.Parallel()
	tree := tree(t)
	guaranteed := pod("g", list("500m", "64Mi"), list("500m", "64Mi"))
	burstable := pod("b", list("250m", ""), nil)
	group, err := tree.EnsurePod(guaranteed)
	if err != nil {
		t.Fatal(err)
	}
	if want := tree.Root() + "/podg"; group != want {
		t.Errorf("group is %s, want %s", group, want)
	}
	other, err := tree.EnsurePod(burstable)
	if err != nil {
		t.Fatal(err)
	}
	checks := []struct{ controller, group, file, want string }{
		{"memory", tree.Root(), "memory.limit_in_bytes", "1073741824"},
		{"cpu", tree.Root(), "cpu.shares", "2048"},
		{"cpu", group, "cpu.shares", "512"}, {"cpu", group, "cpu.cfs_quota_us", "50000"},
		{"memory", group, "memory.limit_in_bytes", "67108864"}, {"pids", group, "pids.max", "100"},
		{"cpu", other, "cpu.shares", "256"}, {"cpu", other, "cpu.cfs_quota_us", "-1"},
		{"cpu", tree.Root() + "/burstable", "cpu.shares", "256"}, {"cpu", tree.Root() + "/besteffort", "cpu.shares", "2"},
	}
	if tree.Version() == 2 {
		checks = []struct{ controller, group, file, want string }{
			{"memory", tree.Root(), "memory.max", "1073741824"}, {"cpu", group, "cpu.max", "50000 100000"},
			{"memory", group, "memory.max", "67108864"}, {"pids", group, "pids.max", "100"},
			{"cpu", other, "cpu.max", "max 100000"}, {"cpu", tree.Root() + "/besteffort", "cpu.weight", "1"},
		}
	}
	for _, c := range checks {
		if got := tree.read(c.controller, c.group, c.file); got != c.want {
			t.Errorf("%s %s is %s, want %s", c.group, c.file, got, c.want)
		}
	}
	if pods, err := tree.Pods(); err != nil || len(pods) != 2 {
		t.Errorf("pods are %v, %v", pods, err)
	}
	if _, err := tree.Usage(group); err != nil {
		t.Error(err)
	}
	if _, err := tree.Usage(tree.Root() + "/podnone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("usage of a group that is not there: %v", err)
	}
}

// What a container left running dies with its Pod's group.
func TestRemovePodKillsWhatIsLeft(t *testing.T) {
	t.Parallel()
	tree := tree(t)
	group, err := tree.EnsurePod(pod("p", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "600")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	if err := tree.files.create(group + "/container"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree.files.dir("memory", group+"/container"), "cgroup.procs"), fmt.Append(nil, sleeper.Process.Pid), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tree.RemovePod("p"); err != nil {
		t.Fatal(err)
	}
	if err := sleeper.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended with %v", err)
	}
	if tree.files.exists(group) {
		t.Error("the group is still there")
	}
	if err := tree.RemovePod("never-was"); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	usage, err := machine()
	if err != nil {
		t.Fatal(err)
	}
	if usage.CPU <= 0 || usage.Limit == 0 || usage.WorkingSet == 0 || usage.WorkingSet > usage.Memory || usage.Memory > usage.Limit {
		t.Errorf("%+v makes no sense", usage)
	}
}
