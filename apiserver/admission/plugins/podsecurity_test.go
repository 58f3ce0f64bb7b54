package plugins

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/apiserver/admission"
)

func labelled(labels ...string) *corev1.Namespace {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: map[string]string{}}}
	for i := 0; i < len(labels); i += 2 {
		n.Labels["pod-security.kubernetes.io/"+labels[i]] = labels[i+1]
	}
	return n
}

// told collects the warnings and audit annotations of a request.
func told(a *admission.Attributes) (warnings *[]string, annotations map[string]string) {
	warnings, annotations = &[]string{}, map[string]string{}
	a.Warned = func(text string) { *warnings = append(*warnings, text) }
	a.Annotate = func(key, value string) { annotations[key] = value }
	return warnings, annotations
}

func TestPodSecurityLevels(t *testing.T) {
	t.Parallel()
	host := podThatAsks(nil, nil)
	host.Spec.HostNetwork = true
	other := host.DeepCopy()
	other.Spec.Containers[0].Image = "example.com/other"
	touched := host.DeepCopy()
	touched.Finalizers = []string{"example.com/wait"}
	plain := podThatAsks(nil, nil)
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: host.Spec}}}
	const hostViolates = `violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`
	for _, test := range []struct {
		name             string
		namespace        *corev1.Namespace
		request          *admission.Attributes
		refused, warning string
		violation        string
	}{
		{"no labels", labelled(), creation(host), "", "", ""},
		{"baseline lets a plain pod in", labelled("enforce", "baseline"), creation(plain), "", "", ""},
		{"baseline refuses the host's network", labelled("enforce", "baseline"), creation(host), `pods "p" is forbidden: ` + strings.Replace(hostViolates, "violate", "violates", 1), "", ""},
		{"warn", labelled("warn", "baseline"), creation(host), "", "would " + hostViolates, ""},
		{"audit", labelled("audit", "baseline"), creation(host), "", "", "would " + hostViolates},
		{"a template is warned of, not refused", labelled("enforce", "baseline"), creation(deployment), "", "would " + hostViolates, ""},
		{"a pod that is there may be touched", labelled("enforce", "baseline"), update(touched, host), "", "", ""},
		{"but not given another image", labelled("enforce", "baseline"), update(other, host), "host namespaces (hostNetwork=true)", "", ""},
		{"an older version", labelled("enforce", "restricted", "enforce-version", "v1.7"), creation(plain),
			`violates PodSecurity "restricted:v1.7": runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)`, "", ""},
	} {
		plugin, _ := world(t, podSecurity, test.namespace)
		warnings, annotations := told(test.request)
		agree(t, test.name, run(t, plugin, test.request), test.refused)
		agree(t, test.name+": warning", strings.Join(*warnings, "\n"), test.warning)
		agree(t, test.name+": audit", annotations[violationsKey], test.violation)
	}
}

func TestPodSecurityOfNamespaces(t *testing.T) {
	t.Parallel()
	host := podThatAsks(nil, nil)
	host.Spec.HostNetwork = true
	second := host.DeepCopy()
	second.Name = "q"
	plugin, _ := world(t, podSecurity, host, second)
	const wrong = `metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "open": must be one of privileged, baseline, restricted`
	agree(t, "a level that is none", run(t, plugin, creation(labelled("enforce", "open"))), wrong)
	agree(t, "an update to it", run(t, plugin, update(labelled("enforce", "open"), labelled())), wrong)
	agree(t, "an update of it", run(t, plugin, update(labelled("enforce", "open", "warn", "baseline"), labelled("enforce", "open"))), "")
	a := update(labelled("enforce", "baseline"), labelled())
	warnings, _ := told(a)
	agree(t, "tighter", run(t, plugin, a), "")
	want := []string{`existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"`, "p (and 1 other pod): host namespaces"}
	if !slices.Equal(*warnings, want) {
		t.Errorf("warnings %q", *warnings)
	}
}

// TestPodSecurityAgreesWithReference on all Pods that upstream's tests hold against the levels.
func TestPodSecurityAgreesWithReference(t *testing.T) {
	t.Parallel()
	root := os.Getenv("SEPTET_REFERENCE")
	if root == "" {
		root = "../../../../shared/reference"
	}
	seen := 0
	for _, level := range []string{"baseline", "restricted"} {
		plugin, _ := world(t, podSecurity, labelled("enforce", level, "enforce-version", "v1.35"))
		for _, outcome := range []string{"pass", "fail"} {
			files, err := filepath.Glob(filepath.Join(root, "podsecurity", level+"-v1.35", outcome, "*.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				pod := &corev1.Pod{}
				if err := yaml.Unmarshal(data, pod); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				for i := range pod.Spec.Volumes {
					if volume := &pod.Spec.Volumes[i]; volume.VolumeSource == (corev1.VolumeSource{}) {
						volume.EmptyDir = &corev1.EmptyDirVolumeSource{} // the server's default, set before admission
					}
				}
				seen++
				if refused := run(t, plugin, creation(runtime.Object(pod))); (refused != "") != (outcome == "fail") {
					t.Errorf("%s: %q", file, refused)
				}
			}
		}
	}
	if seen == 0 {
		t.Skip("no reference data")
	}
	t.Logf("%d pods", seen)
}
