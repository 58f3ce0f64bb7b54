package flow

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Every cluster has these objects, under upstream's names and with its values. The mandatory ones are kept as they are; the suggested
// ones too, until somebody takes the annotation apf.kubernetes.io/autoupdate-spec away.
// https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#mandatory-configuration-objects

// suggestedLevels: shares, lendable percent, queues, hand size; in each queue 50 requests may wait.
var suggestedLevels = []struct {
	name                           string
	shares, lendable, queues, hand int32
}{
	{"system", 30, 33, 64, 6},
	{"node-high", 40, 25, 64, 6},
	{"leader-election", 10, 0, 16, 4},
	{"workload-high", 40, 50, 128, 6},
	{"workload-low", 100, 90, 128, 6},
	{"global-default", 20, 50, 128, 6},
}

const queueLength = 50

func levels() []*flowcontrolv1.PriorityLevelConfiguration {
	var all []*flowcontrolv1.PriorityLevelConfiguration
	for _, one := range suggestedLevels {
		all = append(all, levelObject(one.name, flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: &one.shares, LendablePercent: &one.lendable,
				LimitResponse: flowcontrolv1.LimitResponse{
					Type:    flowcontrolv1.LimitResponseTypeQueue,
					Queuing: &flowcontrolv1.QueuingConfiguration{Queues: one.queues, HandSize: one.hand, QueueLengthLimit: queueLength},
				},
			},
		}))
	}
	return append(all, mandatoryLevels()...)
}

// mandatoryLevels are where administrators go, and everybody whom no schema but the last wants.
func mandatoryLevels() []*flowcontrolv1.PriorityLevelConfiguration {
	none, few := int32(0), int32(5)
	return []*flowcontrolv1.PriorityLevelConfiguration{
		levelObject(flowcontrolv1.PriorityLevelConfigurationNameExempt, flowcontrolv1.PriorityLevelConfigurationSpec{
			Type:   flowcontrolv1.PriorityLevelEnablementExempt,
			Exempt: &flowcontrolv1.ExemptPriorityLevelConfiguration{NominalConcurrencyShares: &none, LendablePercent: &none},
		}),
		levelObject(flowcontrolv1.PriorityLevelConfigurationNameCatchAll, flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: &few, LendablePercent: &none,
				LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
			},
		}),
	}
}

const (
	byUser      = flowcontrolv1.FlowDistinguisherMethodByUserType
	byNamespace = flowcontrolv1.FlowDistinguisherMethodByNamespaceType
)

func schemas() []*flowcontrolv1.FlowSchema {
	everybody := groups("system:unauthenticated", "system:authenticated")
	account := flowcontrolv1.Subject{
		Kind:           flowcontrolv1.SubjectKindServiceAccount,
		ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Name: flowcontrolv1.NameAll, Namespace: metav1.NamespaceSystem},
	}
	any := []string{"*"}
	leases := resources([]string{"get", "create", "update"}, []string{"coordination.k8s.io"}, []string{"leases"}, false)
	return append([]*flowcontrolv1.FlowSchema{
		schemaObject("probes", "exempt", 2, "", flowcontrolv1.PolicyRulesWithSubjects{
			Subjects:         everybody,
			NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz", "/readyz", "/livez"}}},
		}),
		schemaObject("system-leader-election", "leader-election", 100, byUser, flowcontrolv1.PolicyRulesWithSubjects{
			Subjects:      append(users("system:kube-controller-manager", "system:kube-scheduler"), account),
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{leases},
		}),
		schemaObject("system-node-high", "node-high", 400, byUser, flowcontrolv1.PolicyRulesWithSubjects{
			Subjects: groups("system:nodes"),
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{
				resources(any, []string{""}, []string{"nodes", "nodes/status"}, true),
				resources(any, []string{"coordination.k8s.io"}, []string{"leases"}, false),
			},
		}),
		schemaObject("system-nodes", "system", 500, byUser, everything(groups("system:nodes"))),
		schemaObject("kube-controller-manager", "workload-high", 800, byNamespace, everything(users("system:kube-controller-manager"))),
		schemaObject("kube-scheduler", "workload-high", 800, byNamespace, everything(users("system:kube-scheduler"))),
		schemaObject("kube-system-service-accounts", "workload-high", 900, byNamespace, everything([]flowcontrolv1.Subject{account})),
		schemaObject("service-accounts", "workload-low", 9000, byUser, everything(groups("system:serviceaccounts"))),
		schemaObject("global-default", "global-default", 9900, byUser, everything(everybody)),
	}, mandatorySchemas()...)
}

func mandatorySchemas() []*flowcontrolv1.FlowSchema {
	return []*flowcontrolv1.FlowSchema{
		schemaObject(flowcontrolv1.FlowSchemaNameExempt, "exempt", 1, "", everything(groups("system:masters"))),
		schemaObject(flowcontrolv1.FlowSchemaNameCatchAll, "catch-all", 10000, byUser, everything(groups("system:unauthenticated", "system:authenticated"))),
	}
}

func ours(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Annotations: map[string]string{flowcontrolv1.AutoUpdateAnnotationKey: "true"}}
}

func levelObject(name string, spec flowcontrolv1.PriorityLevelConfigurationSpec) *flowcontrolv1.PriorityLevelConfiguration {
	return &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: ours(name), Spec: spec}
}

func schemaObject(name, level string, precedence int32, by flowcontrolv1.FlowDistinguisherMethodType, rule flowcontrolv1.PolicyRulesWithSubjects) *flowcontrolv1.FlowSchema {
	object := &flowcontrolv1.FlowSchema{ObjectMeta: ours(name), Spec: flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: level},
		MatchingPrecedence:         precedence, Rules: []flowcontrolv1.PolicyRulesWithSubjects{rule},
	}}
	if by != "" {
		object.Spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: by}
	}
	return object
}

// everything that subjects ask for.
func everything(subjects []flowcontrolv1.Subject) flowcontrolv1.PolicyRulesWithSubjects {
	any := []string{"*"}
	return flowcontrolv1.PolicyRulesWithSubjects{
		Subjects: subjects, ResourceRules: []flowcontrolv1.ResourcePolicyRule{resources(any, any, any, true)},
		NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: any, NonResourceURLs: any}},
	}
}

func resources(verbs, groups, resources []string, cluster bool) flowcontrolv1.ResourcePolicyRule {
	return flowcontrolv1.ResourcePolicyRule{Verbs: verbs, APIGroups: groups, Resources: resources, Namespaces: []string{"*"}, ClusterScope: cluster}
}

func groups(names ...string) []flowcontrolv1.Subject {
	var all []flowcontrolv1.Subject
	for _, name := range names {
		all = append(all, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: name}})
	}
	return all
}

func users(names ...string) []flowcontrolv1.Subject {
	var all []flowcontrolv1.Subject
	for _, name := range names {
		all = append(all, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: name}})
	}
	return all
}
