package fields

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"sigs.k8s.io/yaml"
)

// TestWhatIsOwnedAsAWholeIsLookedInto for what apimachinery refuses: lists of keys may be anywhere inside, and no key may be there twice.
func TestWhatIsOwnedAsAWholeIsLookedInto(t *testing.T) {
	t.Parallel()
	tracker := New(&corev1.Pod{}, "v1", "", nil, nil)
	for text, ordinary := range map[string]bool{
		`{status: {ephemeralContainerStatuses: [{name: c, resources: {claims: [{name: a}]}}, {name: d}]}}`:                                                     true,
		`{status: {ephemeralContainerStatuses: [{name: c, resources: {claims: [{name: a}, {name: a}]}}]}}`:                                                     false,
		`{status: {ephemeralContainerStatuses: [{name: c, resources: {claims: [{name: a}, {name: b}]}}]}}`:                                                     true,
		`{status: {ephemeralContainerStatuses: [{name: c, resources: null}]}}`:                                                                                 false,
		`{spec: {tolerations: [{key: a}, {key: a}], affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1}, {weight: 1}]}}}}`: true,
		`{spec: {containers: [{name: c, command: [a, a, b]}, {name: d, args: [x]}], nodeSelector: {a: b}}}`:                                                    true,
	} {
		wanted := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &wanted); err != nil {
			t.Fatal(err)
		}
		if _, ok := tracker.Owned(wanted); ok != ordinary {
			t.Errorf("%s: ordinary: %v", text, ok)
		}
	}
}

// TestFlowSchemasAreOrdinary: every start applies them, and the other way takes a fifth of a second of CPU time.
func TestFlowSchemasAreOrdinary(t *testing.T) {
	t.Parallel()
	tracker := New(&flowcontrolv1.FlowSchema{}, "flowcontrol.apiserver.k8s.io/v1", "", nil, nil)
	wanted := map[string]any{}
	if err := yaml.Unmarshal([]byte(`{spec: {rules: [{subjects: [{kind: Group, group: {name: a}}, {kind: Group, group: {name: b}}],
		nonResourceRules: [{verbs: [get], nonResourceURLs: [/healthz, /livez]}]}]}}`), &wanted); err != nil {
		t.Fatal(err)
	}
	if _, ok := tracker.Owned(wanted); !ok {
		t.Error("not taken along the Go types")
	}
}
