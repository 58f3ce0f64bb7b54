package bootstrap

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Policy is a set of roles and bindings.
type Policy struct {
	ClusterRoles        []rbacv1.ClusterRole
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	Roles               []rbacv1.Role
	RoleBindings        []rbacv1.RoleBinding
}

//go:embed roles.txt
var rolesText string

// DefaultPolicy is what roles.txt says. It is parsed when it is first asked for; the text is part of the program, so
// a mistake in it panics, and a test reads it.
var DefaultPolicy = sync.OnceValue(func() *Policy {
	policy, err := parsePolicy(rolesText)
	if err != nil {
		panic("bootstrap: roles.txt: " + err.Error())
	}
	return policy
})

const (
	autoUpdate  = "rbac.authorization.kubernetes.io/autoupdate"
	aggregateTo = "rbac.authorization.k8s.io/aggregate-to-"
)

// parser holds where the rules of the block that is being read go.
type parser struct {
	Policy
	rules func(rbacv1.PolicyRule)
}

func parsePolicy(text string) (*Policy, error) {
	var p parser
	for i, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		var err error
		if strings.HasPrefix(line, "  ") {
			err = p.rule(words)
		} else {
			err = p.block(words)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return &p.Policy, nil
}

func (p *parser) block(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("%q has no name", words[0])
	}
	name := words[1]
	switch words[0] {
	case "clusterrole":
		return p.clusterRole(name, words[2:])
	case "controller":
		name = "system:controller:" + name
		if err := p.clusterRole(name, nil); err != nil {
			return err
		}
		return p.clusterBinding([]string{name, name, "sa:kube-system/" + words[1]})
	case "binding":
		return p.clusterBinding(words[1:])
	case "role":
		namespace, name, ok := strings.Cut(name, "/")
		if !ok {
			return fmt.Errorf("role %q has no namespace", words[1])
		}
		p.Roles = append(p.Roles, rbacv1.Role{ObjectMeta: defaultMeta(namespace, name)})
		at := len(p.Roles) - 1
		p.rules = func(rule rbacv1.PolicyRule) { p.Roles[at].Rules = append(p.Roles[at].Rules, rule) }
		return nil
	case "rolebinding":
		return p.binding(words[1:])
	}
	return fmt.Errorf("unknown word %q", words[0])
}

func (p *parser) clusterRole(name string, options []string) error {
	role := rbacv1.ClusterRole{ObjectMeta: defaultMeta("", name)}
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "in":
			role.Labels[aggregateTo+value] = "true"
		case "of":
			role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
				{MatchLabels: map[string]string{aggregateTo + value: "true"}},
			}}
		default:
			return fmt.Errorf("unknown option %q", option)
		}
	}
	p.ClusterRoles = append(p.ClusterRoles, role)
	at := len(p.ClusterRoles) - 1
	p.rules = func(rule rbacv1.PolicyRule) { p.ClusterRoles[at].Rules = append(p.ClusterRoles[at].Rules, rule) }
	return nil
}

func (p *parser) clusterBinding(words []string) error {
	subjects, err := parseSubjects(words)
	if err != nil {
		return err
	}
	p.ClusterRoleBindings = append(p.ClusterRoleBindings, rbacv1.ClusterRoleBinding{
		ObjectMeta: defaultMeta("", words[0]), Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: words[1]},
	})
	return nil
}

func (p *parser) binding(words []string) error {
	subjects, err := parseSubjects(words)
	if err != nil {
		return err
	}
	namespace, name, ok := strings.Cut(words[0], "/")
	if !ok {
		return fmt.Errorf("rolebinding %q has no namespace", words[0])
	}
	p.RoleBindings = append(p.RoleBindings, rbacv1.RoleBinding{
		ObjectMeta: defaultMeta(namespace, name), Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: words[1]},
	})
	return nil
}

// parseSubjects reads "NAME ROLE SUBJECT ...".
func parseSubjects(words []string) ([]rbacv1.Subject, error) {
	if len(words) < 2 {
		return nil, fmt.Errorf("binding %q has no role", strings.Join(words, " "))
	}
	var subjects []rbacv1.Subject
	for _, word := range words[2:] {
		kind, name, _ := strings.Cut(word, ":")
		switch kind {
		case "user":
			subjects = append(subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name})
		case "group":
			subjects = append(subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name})
		case "sa":
			namespace, account, ok := strings.Cut(name, "/")
			if !ok {
				return nil, fmt.Errorf("service account %q has no namespace", name)
			}
			subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account})
		default:
			return nil, fmt.Errorf("unknown subject %q", word)
		}
	}
	return subjects, nil
}

func (p *parser) rule(words []string) error {
	if p.rules == nil {
		return fmt.Errorf("a rule before any role")
	}
	if words[0] == "events" {
		p.rules(rbacv1.PolicyRule{Verbs: []string{"create", "patch", "update"}, APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}})
		return nil
	}
	if len(words) < 3 || !strings.HasSuffix(words[1], ":") {
		return fmt.Errorf("%q is not a rule", strings.Join(words, " "))
	}
	rule := rbacv1.PolicyRule{Verbs: expandVerbs(words[0])}
	if words[1] == "path:" {
		rule.NonResourceURLs = words[2:]
		p.rules(rule)
		return nil
	}
	for _, group := range strings.Split(strings.TrimSuffix(words[1], ":"), ",") {
		if group == "core" {
			group = ""
		}
		rule.APIGroups = append(rule.APIGroups, group)
	}
	rule.Resources = words[2:]
	if i := slices.Index(rule.Resources, "="); i >= 0 {
		rule.Resources, rule.ResourceNames = rule.Resources[:i], rule.Resources[i+1:]
	}
	p.rules(rule)
	return nil
}

// expandVerbs returns verbs in alphabetical order, as upstream keeps them.
func expandVerbs(list string) []string {
	var verbs []string
	for _, verb := range strings.Split(list, ",") {
		switch verb {
		case "read":
			verbs = append(verbs, "get", "list", "watch")
		case "write":
			verbs = append(verbs, "create", "delete", "deletecollection", "patch", "update")
		default:
			verbs = append(verbs, verb)
		}
	}
	slices.Sort(verbs)
	return verbs
}

func defaultMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{autoUpdate: "true"},
	}
}
