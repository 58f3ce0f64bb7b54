package core

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestPullPolicies(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]corev1.PullPolicy{
		"nginx": "Always", "nginx:latest": "Always", "nginx:1.27": "IfNotPresent",
		"registry:5000/nginx": "Always", "registry:5000/a/nginx:v1": "IfNotPresent",
		"nginx@sha256:0000000000000000000000000000000000000000000000000000000000000000":      "IfNotPresent",
		"nginx:1.27@sha256:0000000000000000000000000000000000000000000000000000000000000000": "IfNotPresent",
		"": "IfNotPresent", "NotAnImage": "IfNotPresent",
	} {
		if got := pullPolicyOf(image); got != want {
			t.Errorf("%q: got %s, want %s", image, got, want)
		}
	}
}

func TestClassesOfService(t *testing.T) {
	t.Parallel()
	both := corev1.ResourceList{"cpu": apiresource.MustParse("1"), "memory": apiresource.MustParse("1Gi")}
	for name, test := range map[string]struct {
		resources []corev1.ResourceRequirements
		whole     *corev1.ResourceRequirements
		want      corev1.PodQOSClass
	}{
		"nothing asked":            {[]corev1.ResourceRequirements{{}}, nil, corev1.PodQOSBestEffort},
		"all limited":              {[]corev1.ResourceRequirements{{Limits: both, Requests: both}, {Limits: both, Requests: both}}, nil, corev1.PodQOSGuaranteed},
		"one not limited":          {[]corev1.ResourceRequirements{{Limits: both, Requests: both}, {}}, nil, corev1.PodQOSBurstable},
		"only requests":            {[]corev1.ResourceRequirements{{Requests: both}}, nil, corev1.PodQOSBurstable},
		"the pod alone":            {[]corev1.ResourceRequirements{{}}, &corev1.ResourceRequirements{Limits: both, Requests: both}, corev1.PodQOSGuaranteed},
		"the pod asks for nothing": {[]corev1.ResourceRequirements{{Requests: both}}, &corev1.ResourceRequirements{}, corev1.PodQOSBestEffort},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Resources: test.whole}}
		for _, r := range test.resources {
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Resources: r})
		}
		if got := QOSClass(pod); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// TestWhatIsNotTurnedOnIsDropped, and leaves nothing behind that would look like a change.
func TestWhatIsNotTurnedOnIsDropped(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: ptr.To[int64](-1), SchedulingGroup: &corev1.PodSchedulingGroup{},
		Containers: []corev1.Container{
			{Name: "a", Lifecycle: &corev1.Lifecycle{StopSignal: ptr.To(corev1.SIGINT)}},
			{Name: "b", Lifecycle: &corev1.Lifecycle{StopSignal: ptr.To(corev1.SIGINT), PreStop: &corev1.LifecycleHandler{}}},
			{Name: "c", Lifecycle: &corev1.Lifecycle{}},
		},
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}}, {PodCertificate: &corev1.PodCertificateProjection{}},
		}}}}},
	}}
	defaultPod(pod)
	spec := &pod.Spec
	if spec.Containers[0].Lifecycle != nil || spec.Containers[1].Lifecycle.StopSignal != nil || spec.Containers[2].Lifecycle == nil {
		t.Errorf("lifecycles: %+v", spec.Containers)
	}
	if diff := cmp.Diff([]corev1.VolumeProjection{{}, {}}, spec.Volumes[0].Projected.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	reporting := &corev1.Pod{Status: corev1.PodStatus{
		NodeAllocatableResourceClaimStatuses: []corev1.NodeAllocatableResourceClaimStatus{{}},
		ContainerStatuses:                    []corev1.ContainerStatus{{VolumeMounts: []corev1.VolumeMountStatus{{VolumeStatus: &corev1.VolumeStatus{}}}}},
	}}
	preparePodStatus(nil, reporting, pod)
	if s := &reporting.Status; s.NodeAllocatableResourceClaimStatuses != nil || s.ContainerStatuses[0].VolumeMounts[0].VolumeStatus != nil {
		t.Errorf("status: %+v", s)
	}
	if spec.SchedulingGroup != nil || *spec.TerminationGracePeriodSeconds != 1 {
		t.Errorf("got %+v", spec)
	}
}

func TestPodDefaults(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		HostNetwork: true, DeprecatedServiceAccount: "old",
		Volumes: []corev1.Volume{{Name: "v"}},
		Containers: []corev1.Container{{
			Name: "main", Image: "nginx", Ports: []corev1.ContainerPort{{ContainerPort: 80}},
			Resources:     corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": apiresource.MustParse("100.0001m")}},
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 1}}},
		}},
	}}
	defaultPod(pod)
	rounded := apiresource.MustParse("101m")
	want := corev1.PodSpec{
		HostNetwork: true, DeprecatedServiceAccount: "old", ServiceAccountName: "old",
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		Containers: []corev1.Container{{
			Name: "main", Image: "nginx", ImagePullPolicy: "Always",
			TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File",
			Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80, Protocol: "TCP"}},
			Resources: corev1.ResourceRequirements{
				Limits: corev1.ResourceList{"cpu": rounded}, Requests: corev1.ResourceList{"cpu": rounded},
			},
			LivenessProbe: &corev1.Probe{
				ProbeHandler:   corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 1, Service: ptr.To("")}},
				TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
			},
		}},
		RestartPolicy: "Always", DNSPolicy: "ClusterFirst", SchedulerName: "default-scheduler",
		TerminationGracePeriodSeconds: ptr.To[int64](30), SecurityContext: &corev1.PodSecurityContext{}, EnableServiceLinks: ptr.To(true),
	}
	if diff := cmp.Diff(want, pod.Spec); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMatchLabelKeysBecomeRequirements(t *testing.T) {
	t.Parallel()
	pod := goodPod()
	pod.Labels = map[string]string{"hash": "x"}
	pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: "DoNotSchedule",
		LabelSelector: &metav1.LabelSelector{}, MatchLabelKeys: []string{"hash", "absent"},
	}}
	mergeMatchLabelKeys(pod)
	mergeMatchLabelKeys(pod) // a second time changes nothing
	want := []metav1.LabelSelectorRequirement{{Key: "hash", Operator: "In", Values: []string{"x"}}}
	if diff := cmp.Diff(want, pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchExpressions); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	expect(t, validatePod(nil, pod))
}

// FuzzPods: whatever can be decoded can be defaulted, once is enough, and validation comes to an end without harm.
func FuzzPods(f *testing.F) {
	seed, err := json.Marshal(goodPod())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(seed))
	for _, quantity := range []string{"9223372036854775807", "1e300", "-9E", "0.0000000001", "9999999999999999999999Ei"} {
		f.Add(`{"spec":{"containers":[{"resources":{"limits":{"cpu":"` + quantity + `","hugepages-1n":"` + quantity + `"}}}],"resources":{"limits":{"memory":"` + quantity + `"}},"overhead":{"cpu":"` + quantity + `"}}}`)
	}
	f.Add(`{"spec":{"containers":[{"env":[{"valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['"}}}],"ports":[{"hostPort":1},{"hostPort":1}]}],"initContainers":[{"restartPolicy":"Always"}],"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"matchLabelKeys":["a"]}]}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		pod := &corev1.Pod{}
		if json.Unmarshal([]byte(text), pod) != nil {
			return
		}
		defaultPod(pod)
		again := pod.DeepCopy()
		defaultPod(again)
		if diff := cmp.Diff(pod, again); diff != "" {
			t.Errorf("defaulting twice is not the same as once:\n%s", diff)
		}
		validatePod(nil, pod)
		validatePodUpdate(nil, again, pod)
		warnPod(nil, pod, nil)
		summarize(pod)
	})
}

// BenchmarkPod is the share of a POST that the table of kinds has.
func BenchmarkPod(b *testing.B) {
	base := goodPod()
	b.ReportAllocs()
	for b.Loop() {
		pod := base.DeepCopy()
		defaultPod(pod)
		if errs := validatePod(nil, pod); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}
