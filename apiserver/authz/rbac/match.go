package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/septet-io/septet/apiserver/request"
)

// Allows says whether a rule permits what a request asks for.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/
func Allows(rule *rbacv1.PolicyRule, info *request.Info) bool {
	if !has(rule.Verbs, info.Verb) {
		return false
	}
	if !info.IsResource {
		return matchesPath(rule.NonResourceURLs, info.Path)
	}
	return has(rule.APIGroups, info.Group) && matchesResource(rule.Resources, info.Resource, info.Subresource) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, info.Name))
}

func has(list []string, wanted string) bool {
	for _, s := range list {
		if s == "*" || s == wanted {
			return true
		}
	}
	return false
}

// matchesResource knows "*", "pods", "pods/log" and "*/scale".
func matchesResource(list []string, resource, subresource string) bool {
	for _, s := range list {
		if s == "*" {
			return true
		}
		name, sub, found := strings.Cut(s, "/")
		if sub == subresource && found == (sub != "") && (name == resource || name == "*" && found) {
			return true
		}
	}
	return false
}

// matchesPath knows "*", "/healthz" and "/healthz/*".
func matchesPath(list []string, path string) bool {
	for _, s := range list {
		if s == "*" || s == path {
			return true
		}
		if strings.HasSuffix(s, "*") && strings.HasPrefix(path, strings.TrimRight(s, "*")) {
			return true
		}
	}
	return false
}

// Uncovered returns those of the wanted rules, broken down to single permissions, that the held rules do not include.
// Nothing left means that whoever holds the one may grant the other.
func Uncovered(held, wanted []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var missing []rbacv1.PolicyRule
	for i := range wanted {
		for _, single := range breakDown(&wanted[i]) {
			covered := slices.ContainsFunc(held, func(h rbacv1.PolicyRule) bool { return covers(&h, &single) })
			if !covered {
				missing = append(missing, single)
			}
		}
	}
	return missing
}

// breakDown splits a rule into rules of one verb and one resource name, group and path each.
func breakDown(rule *rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var singles []rbacv1.PolicyRule
	for _, verb := range rule.Verbs {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				single := rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}}
				if len(rule.ResourceNames) == 0 {
					singles = append(singles, single)
				}
				for _, name := range rule.ResourceNames {
					named := single
					named.ResourceNames = []string{name}
					singles = append(singles, named)
				}
			}
		}
		for _, path := range rule.NonResourceURLs {
			singles = append(singles, rbacv1.PolicyRule{Verbs: []string{verb}, NonResourceURLs: []string{path}})
		}
	}
	return singles
}

// covers says whether a held rule includes a single permission as breakDown makes them.
func covers(held, single *rbacv1.PolicyRule) bool {
	if !has(held.Verbs, single.Verbs[0]) {
		return false
	}
	if len(single.NonResourceURLs) > 0 {
		return matchesPath(held.NonResourceURLs, single.NonResourceURLs[0])
	}
	if !has(held.APIGroups, single.APIGroups[0]) || !coversResource(held.Resources, single.Resources[0]) {
		return false
	}
	return len(held.ResourceNames) == 0 || len(single.ResourceNames) > 0 && slices.Contains(held.ResourceNames, single.ResourceNames[0])
}

func coversResource(held []string, wanted string) bool {
	if has(held, wanted) {
		return true
	}
	_, sub, found := strings.Cut(wanted, "/")
	return found && slices.Contains(held, "*/"+sub)
}
