package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestNumbers(t *testing.T) {
	t.Parallel()
	for milli, want := range map[int64]int64{0: 2, 1: 2, 100: 102, 1000: 1024, 300_000: 262_144} {
		if got := Shares(milli); got != want {
			t.Errorf("%dm is %d shares, want %d", milli, got, want)
		}
	}
	for shares, want := range map[int64]int64{2: 1, 1024: 100, 262_144: 10_000} {
		if got := Weight(shares); got != want {
			t.Errorf("%d shares weigh %d, want %d", shares, got, want)
		}
	}
	for milli, want := range map[int64]int64{0: -1, 1: 1000, 500: 50_000, 2000: 200_000} {
		if got := Quota(milli, defaultPeriod); got != want {
			t.Errorf("%dm has quota %d, want %d", milli, got, want)
		}
	}
	for bytes, want := range map[int64]string{2 << 20: "2MB", 1 << 30: "1GB", 64 << 10: "64KB"} {
		if got := pageName(bytes); got != want {
			t.Errorf("%d bytes are %s, want %s", bytes, got, want)
		}
	}
}

func TestQOS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		requests, limits corev1.ResourceList
		want             corev1.PodQOSClass
	}{
		"nothing":         {nil, nil, corev1.PodQOSBestEffort},
		"equal":           {list("1", "1Gi"), list("1", "1Gi"), corev1.PodQOSGuaranteed},
		"limits only":     {nil, list("1", "1Gi"), corev1.PodQOSGuaranteed},
		"less than limit": {list("500m", "1Gi"), list("1", "1Gi"), corev1.PodQOSBurstable},
		"cpu alone":       {list("1", ""), list("1", ""), corev1.PodQOSBurstable},
		"requests only":   {list("1", "1Gi"), nil, corev1.PodQOSBurstable},
	} {
		if got := QOS(pod("x", c.requests, c.limits)); got != c.want {
			t.Errorf("%s is %s, want %s", name, got, c.want)
		}
	}
}

// A Pod's limit holds only if every container has one; its requests are those of its neediest moment.
func TestSumsOverContainers(t *testing.T) {
	t.Parallel()
	always := corev1.ContainerRestartPolicyAlways
	p := pod("x", list("100m", "10Mi"), list("200m", "20Mi"))
	p.Spec.InitContainers = []corev1.Container{
		{RestartPolicy: &always, Resources: corev1.ResourceRequirements{Requests: list("50m", "5Mi"), Limits: list("50m", "5Mi")}},
		{Resources: corev1.ResourceRequirements{Requests: list("400m", "1Mi"), Limits: list("400m", "1Mi")}},
	}
	requests, limits := requestsOf(p), limitsOf(p)
	if got := milliCPU(requests); got != 450 {
		t.Errorf("requests %dm, want the init container's with the sidecar's", got)
	}
	if memory := requests[corev1.ResourceMemory]; memory.Value() != 15<<20 {
		t.Errorf("requests %s of memory", memory.String())
	}
	if got := milliCPU(limits); got != 450 {
		t.Errorf("limits %dm", got)
	}
	delete(p.Spec.Containers[0].Resources.Limits, corev1.ResourceCPU)
	if _, limited := limitsOf(p)[corev1.ResourceCPU]; limited {
		t.Error("one container without a limit should leave the Pod without")
	}
}

// What is written to the files of either version.
func TestSettings(t *testing.T) {
	t.Parallel()
	limits := Limits{Shares: 1024, Quota: 50_000, Period: 100_000, Memory: 1 << 20, Pids: 7, HugePages: map[string]int64{"2MB": 4 << 20}}
	for name, c := range map[string]struct {
		got  []setting
		want []setting
	}{
		"v1": {v1Settings(limits), []setting{
			{"cpu", "cpu.shares", "1024"}, {"cpu", "cpu.cfs_period_us", "100000"}, {"cpu", "cpu.cfs_quota_us", "50000"},
			{"memory", "memory.limit_in_bytes", "1048576"}, {"pids", "pids.max", "7"}, {"hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304"},
		}},
		"v2": {v2Settings(limits), []setting{
			{"cpu", "cpu.weight", "100"}, {"cpu", "cpu.max", "50000 100000"}, {"memory", "memory.max", "1048576"}, {"pids", "pids.max", "7"},
			{"hugetlb", "hugetlb.2MB.max", "4194304"},
		}},
		"v1 unlimited": {v1Settings(Limits{Quota: unlimited, Memory: unlimited, Pids: unlimited}), []setting{
			{"cpu", "cpu.cfs_quota_us", "-1"}, {"memory", "memory.limit_in_bytes", "-1"}, {"pids", "pids.max", "max"},
		}},
		"v2 unlimited": {v2Settings(Limits{Quota: unlimited, Memory: unlimited, Pids: unlimited}), []setting{
			{"cpu", "cpu.max", "max 100000"}, {"memory", "memory.max", "max"}, {"pids", "pids.max", "max"},
		}},
		"nothing": {v2Settings(Limits{}), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

// A v2 tree as files: controllers are handed down to every group on the way.
func TestUnifiedTree(t *testing.T) {
	t.Parallel()
	f := files{unified: true, mount: t.TempDir()}
	put := func(dir, file, text string) {
		if err := os.WriteFile(filepath.Join(f.mount, dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"", "kubepods", "kubepods/pod1"} {
		if err := os.MkdirAll(filepath.Join(f.mount, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		put(dir, "cgroup.controllers", "cpu memory")
		put(dir, "cgroup.subtree_control", "cpu")
	}
	if err := f.create("/kubepods/pod1"); err != nil {
		t.Fatal(err)
	}
	put("kubepods/pod1", "memory.current", "5000\n")
	put("kubepods/pod1", "memory.stat", "anon 1000\ninactive_file 2000\npgfault 7\npgmajfault 1\n")
	put("kubepods/pod1", "memory.max", "max\n")
	put("kubepods/pod1", "cpu.stat", "usage_usec 1500\nuser_usec 1000\n")
	for _, dir := range []string{"", "kubepods"} {
		if got, err := os.ReadFile(filepath.Join(f.mount, dir, "cgroup.subtree_control")); err != nil || string(got) != "+memory" {
			t.Errorf("%q delegates %q (%v)", dir, got, err)
		}
	}
	usage, err := f.usageV2("/kubepods/pod1")
	if err != nil || usage.WorkingSet != 3000 || usage.RSS != 1000 || usage.CPU != 1500*time.Microsecond || usage.Limit != 0 || usage.PageFaults != 7 {
		t.Errorf("usage is %+v, %v", usage, err)
	}
}
