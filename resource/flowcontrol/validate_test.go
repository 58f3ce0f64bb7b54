package flowcontrol

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	expect(t, validateSchema(nil, &flowcontrolv1.FlowSchema{Spec: flowcontrolv1.FlowSchemaSpec{
		MatchingPrecedence: 1,
		Rules: []flowcontrolv1.PolicyRulesWithSubjects{{}, {
			Subjects:      []flowcontrolv1.Subject{{Kind: "User", Group: &flowcontrolv1.GroupSubject{Name: "g"}}},
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{{Verbs: []string{"*", "get"}, APIGroups: []string{"*"}, Resources: []string{"*"}}},
		}},
	}}),
		"spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
		"spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
		"spec.rules[0].subjects: Required value: subjects must contain at least one value",
		"spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
		"spec.rules[1].subjects[0].user: Required value: user is required when subject kind is 'User'",
		"spec.rules[1].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
		`spec.rules[1].resourceRules[0].verbs: Invalid value: ["*","get"]: if '*' is present, must not specify other verbs`,
		"spec.rules[1].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace")
}

func TestPriorityLevels(t *testing.T) {
	t.Parallel()
	level := &flowcontrolv1.PriorityLevelConfiguration{Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
		Type: flowcontrolv1.PriorityLevelEnablementLimited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
			LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeQueue, Queuing: &flowcontrolv1.QueuingConfiguration{}},
		},
	}}
	defaultPriorityLevel(level)
	expect(t, validateLevel(nil, level))
	level.Spec.Exempt = &flowcontrolv1.ExemptPriorityLevelConfiguration{}
	level.Spec.Limited.LendablePercent = ptr.To[int32](101)
	level.Spec.Limited.LimitResponse.Queuing.HandSize = 65
	expect(t, validateLevel(nil, level),
		"spec.exempt: Forbidden: must be nil if the type is Limited",
		"spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
		"spec.limited.limitResponse.queuing.handSize: Invalid value: 65: should not be greater than queues (64)")
}
