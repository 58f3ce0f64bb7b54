package cgroup

import (
	"testing"

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
