package status

import (
	v1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/spec"
)

// Restart says what is to be done after a container ended.
type Restart int

// What is to be done after a container ended.
const (
	Stay       Restart = iota // it stays ended
	Again                     // it starts again
	Everything                // the whole pod starts again, from its first init container
)

// AfterExit says what the pod's policies want after its container c of that kind
// ended with code: the container's rules in order, then its own policy, then the
// pod's (KEP-5307). Init containers take OnFailure's meaning from Always.
func AfterExit(pod *v1.Pod, c *v1.Container, kind spec.Kind, code int32) Restart {
	if kind == spec.Ephemeral {
		return Stay
	}
	for i := range c.RestartPolicyRules {
		rule := &c.RestartPolicyRules[i]
		if !ruleMatches(rule, code) {
			continue
		}
		switch rule.Action {
		case v1.ContainerRestartRuleActionRestart:
			return Again
		case v1.ContainerRestartRuleActionRestartAllContainers:
			return Everything
		}
	}
	policy := v1.ContainerRestartPolicy(pod.Spec.RestartPolicy)
	if c.RestartPolicy != nil {
		policy = *c.RestartPolicy
	}
	if kind == spec.Init && !spec.Sidecar(c) && policy == v1.ContainerRestartPolicyAlways {
		policy = v1.ContainerRestartPolicyOnFailure
	}
	switch {
	case policy == v1.ContainerRestartPolicyNever:
		return Stay
	case policy == v1.ContainerRestartPolicyOnFailure && code == 0:
		return Stay
	}
	return Again
}

func ruleMatches(rule *v1.ContainerRestartRule, code int32) bool {
	if rule.ExitCodes == nil {
		return false
	}
	found := false
	for _, v := range rule.ExitCodes.Values {
		found = found || v == code
	}
	switch rule.ExitCodes.Operator {
	case v1.ContainerRestartRuleOnExitCodesOpIn:
		return found
	case v1.ContainerRestartRuleOnExitCodesOpNotIn:
		return !found
	}
	return false
}
