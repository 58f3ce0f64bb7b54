package builtin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/resource"
)

func kind(t *testing.T, name string) *resource.Kind {
	t.Helper()
	for _, k := range All() {
		if k.Resource.Resource == name {
			return k
		}
	}
	t.Fatalf("no kind %s", name)
	return nil
}

// Pods that admission judges by their security are all good pods otherwise.
func TestUpstreamsPodsAreValid(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(reference(t, "podsecurity"), "*", "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no pods: %v", err)
	}
	pods := kind(t, "pods")
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "procmount") {
			continue // unmasked /proc needs users of its own, which these pods lack: upstream refuses them too
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict(data, pod); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		r := &resource.Request{Verb: "create", Now: time.Unix(0, 0)}
		pods.Default(pod)
		pods.PrepareCreate(r, pod)
		for _, err := range pods.Validate(r, pod) {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
		again := pod.DeepCopy()
		pods.Default(again)
		for _, err := range pods.ValidateUpdate(r, again, pod) {
			t.Errorf("%s, unchanged: %v", filepath.Base(file), err)
		}
	}
}
