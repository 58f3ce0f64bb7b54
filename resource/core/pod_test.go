package core

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// goodPod is as small as a pod can be.
func goodPod() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "nginx:1"}}},
	}
	defaultPod(pod)
	preparePod(&resource.Request{Now: time.Unix(0, 0)}, pod)
	return pod
}

func messages(errs field.ErrorList) []string {
	var out []string
	for _, err := range errs {
		// What follows a line break is a picture of the difference.
		text, _, _ := strings.Cut(err.Error(), "\n")
		out = append(out, text)
	}
	return out
}

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, messages(errs)); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

// conformance: Sysctls, reject invalid sysctls
func TestPodsAreRefusedInUpstreamsWords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   []string
	}{
		"good": {func(*corev1.Pod) {}, nil},
		"no containers": {func(p *corev1.Pod) { p.Spec.Containers = nil }, []string{
			"spec.containers: Required value",
		}},
		"names and images": {func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "main", Image: " nginx"}, corev1.Container{Name: "Bad_Name"})
			defaultPod(p)
		}, []string{
			`spec.containers[1].name: Duplicate value: "main"`,
			`spec.containers[2].name: Invalid value: "Bad_Name": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			"spec.containers[2].image: Required value",
			`spec.containers[1].image: Invalid value: " nginx": must not have leading or trailing whitespace`,
		}},
		"mounts": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				EmptyDir: &corev1.EmptyDirVolumeSource{}, HostPath: &corev1.HostPathVolumeSource{Path: "/x"},
			}}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{
				{Name: "other", MountPath: "/a"}, {Name: "other", MountPath: "/a", SubPath: "../up"},
			}
		}, []string{
			"spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
			`spec.containers[0].volumeMounts[0].name: Not found: "other"`,
			`spec.containers[0].volumeMounts[1].name: Not found: "other"`,
			`spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique`,
			`spec.containers[0].volumeMounts[1].subPath: Invalid value: "../up": must not contain '..'`,
		}},
		"environment": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = []corev1.EnvVar{
				{Name: "", Value: "x"}, {Name: "A=B"},
				{Name: "C", Value: "x", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}},
				{Name: "D", ValueFrom: &corev1.EnvVarSource{}},
				{Name: "E", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.labels"}}},
				{Name: "F", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "spec.nonsense"}}},
				{Name: "G", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{
					Resource: "limits.cpu", Divisor: apiresource.MustParse("2"),
				}}},
			}
		}, []string{
			"spec.containers[0].env[0].name: Required value",
			`spec.containers[0].env[1].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than '='`,
			"spec.containers[0].env[2].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
			"spec.containers[0].env[3].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
			`spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"`,
			`spec.containers[0].env[5].valueFrom.fieldRef.fieldPath: Invalid value: "spec.nonsense": error converting fieldPath: field label not supported: spec.nonsense`,
			`spec.containers[0].env[6].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource`,
		}},
		"resources": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources = corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"cpu": apiresource.MustParse("2"), "memory": apiresource.MustParse("-1"), "example.com/gpu": apiresource.MustParse("1500m"), "nonsense": apiresource.MustParse("1")},
				Limits:   corev1.ResourceList{"cpu": apiresource.MustParse("1")},
			}
		}, []string{
			`spec.containers[0].resources.requests[cpu]: Invalid value: "2": must be less than or equal to cpu limit of 1`,
			`spec.containers[0].resources.requests[example.com/gpu]: Invalid value: "1500m": must be an integer`,
			"spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
			`spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0`,
			`spec.containers[0].resources.requests[nonsense]: Invalid value: "nonsense": must be a standard resource type or fully qualified`,
			`spec.containers[0].resources.requests[nonsense]: Invalid value: "nonsense": must be a standard resource for containers`,
		}},
		"huge pages alone": {func(p *corev1.Pod) {
			huge := corev1.ResourceList{"hugepages-2Mi": apiresource.MustParse("3Mi")}
			p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: huge, Limits: huge}
		}, []string{
			`spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi`,
			`spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi`,
			"spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
		}},
		"probes": {func(p *corev1.Pod) {
			p.Spec.Containers[0].LivenessProbe = &corev1.Probe{SuccessThreshold: 2, TimeoutSeconds: -1}
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
				ProbeHandler:                  corev1.ProbeHandler{Exec: &corev1.ExecAction{}, TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(0)}},
				TerminationGracePeriodSeconds: ptr.To[int64](3),
			}
		}, []string{
			"spec.containers[0].livenessProbe: Required value: must specify a handler type",
			"spec.containers[0].livenessProbe.timeoutSeconds: Invalid value: -1: must be greater than or equal to 0",
			"spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
			"spec.containers[0].readinessProbe.exec.command: Required value",
			"spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
			"spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 3: must not be set for readinessProbes",
		}},
		"init containers": {func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{
				Name: "main", Image: "x", TerminationMessagePolicy: "File", ImagePullPolicy: "Always",
				Lifecycle: &corev1.Lifecycle{}, ReadinessProbe: &corev1.Probe{},
			}}
		}, []string{
			`spec.initContainers[0].name: Duplicate value: "main"`,
			"spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
			"spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
		}},
		"security": {func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
				RunAsUser:      ptr.To[int64](-1),
				SeccompProfile: &corev1.SeccompProfile{Type: "Localhost"},
			}
			p.Spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "net.ipv4.ip_forward"}, {Name: "a b"}}
			p.Spec.HostNetwork = true
		}, []string{
			"spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
			"spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
			`spec.securityContext.sysctls[0].name: Invalid value: "net.ipv4.ip_forward": may not be specified when 'hostNetwork' is true`,
			`spec.securityContext.sysctls[1].name: Invalid value: "a b": must have at most 253 characters and match regex ([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?`,
		}},
		"scheduling": {func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{
				{Operator: "Equal", Value: "x"}, {Key: "a", Operator: "Exists", Effect: "NoSchedule", TolerationSeconds: ptr.To[int64](1)},
			}
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{WhenUnsatisfiable: "Maybe"}}
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}, {Name: "example.com/wait"}}
			p.Spec.NodeName = "node-1"
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{},
			}}
		}, []string{
			"spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
			`spec.schedulingGates[1]: Duplicate value: "example.com/wait"`,
			"spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
			"spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
			`spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Maybe": supported values: "DoNotSchedule", "ScheduleAnyway"`,
			`spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when ` + "`key`" + ` is empty, which means "match all values and all keys"`,
			"spec.tolerations[1].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
			"spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
		}},
		"names of other things": {func(p *corev1.Pod) {
			p.Spec.RestartPolicy, p.Spec.DNSPolicy = "Sometimes", "None"
			p.Spec.ActiveDeadlineSeconds = ptr.To[int64](0)
			p.Spec.Hostname = "not.a.label"
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
				Name: "debug", Image: "busybox", TerminationMessagePolicy: "File", ImagePullPolicy: "Always", Ports: []corev1.ContainerPort{{ContainerPort: 1, Protocol: "TCP"}},
			}}}
		}, []string{
			"spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
			`spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"`,
			"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
			`spec.hostname: Invalid value: "not.a.label": must not contain dots`,
			"spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
			"spec.ephemeralContainers: Forbidden: cannot be set on create",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := goodPod()
			test.change(pod)
			expect(t, validatePod(nil, pod), test.want...)
		})
	}
}

func TestLittleOfAPodMayChange(t *testing.T) {
	t.Parallel()
	const fixed = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
	for name, test := range map[string]struct {
		before, change func(*corev1.Pod)
		want           []string
	}{
		"nothing": {nil, func(*corev1.Pod) {}, nil},
		"image":   {nil, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "nginx:2" }, nil},
		"node":    {nil, func(p *corev1.Pod) { p.Spec.NodeName = "elsewhere" }, []string{fixed}},
		"another container": {nil, func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, *p.Spec.Containers[0].DeepCopy())
			p.Spec.Containers[1].Name = "second"
		}, []string{"spec.containers: Forbidden: pod updates may not add or remove containers"}},
		"a deadline comes": {nil, func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr.To[int64](5) }, nil},
		"a deadline moves away": {
			func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr.To[int64](5) },
			func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr.To[int64](6) },
			[]string{"spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"},
		},
		"tolerations are added": {nil, func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: "a", Operator: "Exists"}}
		}, nil},
		"a toleration goes": {
			func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Key: "a", Operator: "Exists"}} },
			func(p *corev1.Pod) { p.Spec.Tolerations = nil },
			[]string{"spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"},
		},
		"a gate opens": {
			func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "a"}, {Name: "b"}} },
			func(p *corev1.Pod) { p.Spec.SchedulingGates = p.Spec.SchedulingGates[1:] },
			nil,
		},
		"a gate closes": {nil, func(p *corev1.Pod) {
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "late"}}
		}, []string{"spec.schedulingGates[0]: Forbidden: only deletion is allowed, but found new scheduling gate 'late'"}},
		"a gated pod gets a selector": {
			func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "a"}} },
			func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "fast"} },
			nil,
		},
		"a gated pod gets an affinity": {
			func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "a"}} },
			func(p *corev1.Pod) {
				p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
					RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
						MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: "Exists"}},
					}}},
				}}
			},
			nil,
		},
		"other pods get no selector": {nil, func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "fast"} }, []string{fixed}},
		"a mirror is declared": {nil, func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		}, []string{
			`metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set`,
			"metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := goodPod()
			if test.before != nil {
				test.before(old)
			}
			pod := old.DeepCopy()
			test.change(pod)
			expect(t, validatePodUpdate(nil, pod, old), test.want...)
		})
	}
}

func TestResizing(t *testing.T) {
	t.Parallel()
	sized := func(cpu string) *corev1.Pod {
		pod := goodPod()
		pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"cpu": apiresource.MustParse(cpu)},
			Limits:   corev1.ResourceList{"cpu": apiresource.MustParse("2")},
		}
		pod.Status.QOSClass = corev1.PodQOSBurstable
		return pod
	}
	resize := func(pod, old *corev1.Pod) field.ErrorList {
		prepareResize(nil, pod, old)
		return validateResize(nil, pod, old)
	}
	t.Run("more", func(t *testing.T) {
		t.Parallel()
		pod := sized("1500m")
		pod.Spec.NodeName = "ignored"
		expect(t, resize(pod, sized("1")))
		if pod.Spec.NodeName != "" {
			t.Error("more than resources was taken")
		}
	})
	t.Run("a limit goes", func(t *testing.T) {
		t.Parallel()
		pod := sized("1")
		pod.Spec.Containers[0].Resources.Limits = nil
		expect(t, resize(pod, sized("1")), "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed")
	})
	t.Run("another class", func(t *testing.T) {
		t.Parallel()
		guaranteed := corev1.ResourceList{"cpu": apiresource.MustParse("1"), "memory": apiresource.MustParse("1Gi")}
		old, pod := goodPod(), goodPod()
		old.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: guaranteed, Limits: guaranteed}
		old.Status.QOSClass = corev1.PodQOSGuaranteed
		pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Limits: guaranteed, Requests: corev1.ResourceList{"cpu": apiresource.MustParse("500m"), "memory": apiresource.MustParse("1Gi")}}
		expect(t, resize(pod, old), `spec: Invalid value: "Guaranteed": Pod QOS Class may not change as a result of resizing`)
	})
}

func TestDebuggingContainersAreOnlyAdded(t *testing.T) {
	t.Parallel()
	debug := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "debug", Image: "busybox", TerminationMessagePolicy: "File", ImagePullPolicy: "Always",
	}}
	old := goodPod()
	pod := goodPod()
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{debug}
	expect(t, validateEphemeralContainers(nil, pod, old))
	expect(t, validateEphemeralContainers(nil, old, pod), `spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed`)
	changed := pod.DeepCopy()
	changed.Spec.EphemeralContainers[0].Image = "alpine"
	expect(t, validateEphemeralContainers(nil, changed, pod), `spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be changed`)
}

func TestContainersDoNotRiseAgain(t *testing.T) {
	t.Parallel()
	old := goodPod()
	old.Spec.RestartPolicy = corev1.RestartPolicyNever
	old.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	pod := old.DeepCopy()
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	pod.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "10.0.0.2"}}
	expect(t, validatePodStatus(nil, pod, old),
		"status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
		`status.podIPs: Invalid value: [{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}]: may specify no more than one IP for each IP family`)
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	pod := goodPod()
	pod.Name = "dotted.name"
	pod.Spec.NodeSelector = map[string]string{"beta.kubernetes.io/os": "linux"}
	pod.Spec.TerminationGracePeriodSeconds = ptr.To[int64](-1)
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}, {Name: "A", Value: "$(A):3"}}
	pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, Protocol: "TCP"}, {ContainerPort: 80, Protocol: "TCP"}}
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"memory": apiresource.MustParse("100m")}
	pod.Spec.Volumes = []corev1.Volume{{Name: "g", VolumeSource: corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{}}}}
	want := []string{
		"metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
		`spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead`,
		"spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
		"spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
		`spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer`,
		`spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`,
		"spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
	}
	if diff := cmp.Diff(want, warnPod(nil, pod, nil)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if again := warnPod(nil, pod, pod); len(again) > 0 {
		t.Errorf("an update was warned about: %v", again)
	}
}

// TestWarningsOfWhatCannotWork: files in each other's way, sources without content, terms that select nothing.
func TestWarningsOfWhatCannotWork(t *testing.T) {
	t.Parallel()
	pod := goodPod()
	keys := func(paths ...string) (items []corev1.KeyToPath) {
		for _, path := range paths {
			items = append(items, corev1.KeyToPath{Key: "k", Path: path})
		}
		return items
	}
	named := corev1.LocalObjectReference{Name: "m"}
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "map", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: named, Items: keys("a", "ab", "a/b")}}},
		{Name: "all", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: named, Items: keys("token/")}},
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}, {},
		}}}},
	}
	pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{TopologyKey: "zone"}}
	pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 1}},
	}}
	want := []string{
		`volume "map" (ConfigMap "m"): overlapping paths: "a/b" with "a"`,
		`volume "all" (Projected) has no sources provided`,
		`volume "all" (Projected): overlapping paths: "token" (ServiceAccountToken) with "token" (ConfigMap "m")`,
		"spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
		"spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
	}
	if diff := cmp.Diff(want, warnPod(nil, pod, nil)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
