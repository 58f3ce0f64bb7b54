package audit

import (
	"slices"
	"strings"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// verdict is what a policy says of one request.
type verdict struct {
	level             Level
	omit              []Stage // together with the policy's own
	omitManagedFields bool
}

// decide finds the first rule that matches.
func (p *Policy) decide(info *request.Info, user *resource.User) verdict {
	for i := range p.Rules {
		rule := &p.Rules[i]
		if !rule.matches(info, user) {
			continue
		}
		v := verdict{level: rule.Level, omit: rule.OmitStages, omitManagedFields: p.OmitManagedFields}
		if rule.OmitManagedFields != nil {
			v.omitManagedFields = *rule.OmitManagedFields
		}
		return v
	}
	return verdict{level: None}
}

func (r *Rule) matches(info *request.Info, user *resource.User) bool {
	if len(r.Users) > 0 && !slices.Contains(r.Users, user.Name) {
		return false
	}
	inGroup := func(group string) bool { return slices.Contains(r.UserGroups, group) }
	if len(r.UserGroups) > 0 && !slices.ContainsFunc(user.Groups, inGroup) {
		return false
	}
	if len(r.Verbs) > 0 && !slices.Contains(r.Verbs, info.Verb) {
		return false
	}
	switch {
	case len(r.Namespaces) > 0 || len(r.Resources) > 0:
		return info.IsResource && r.matchesResource(info)
	case len(r.NonResourceURLs) > 0:
		return !info.IsResource && slices.ContainsFunc(r.NonResourceURLs, func(url string) bool { return matchesPath(url, info.Path) })
	}
	return true
}

// matchesPath knows "*", "/healthz" and "/healthz*".
func matchesPath(pattern, path string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return pattern == path || open && strings.HasPrefix(path, prefix)
}

func (r *Rule) matchesResource(info *request.Info) bool {
	if len(r.Namespaces) > 0 && !slices.Contains(r.Namespaces, info.Namespace) {
		return false
	}
	return len(r.Resources) == 0 || slices.ContainsFunc(r.Resources, func(g GroupResources) bool { return g.matches(info) })
}

func (g *GroupResources) matches(info *request.Info) bool {
	if g.Group != info.Group && g.Group != "*" {
		return false
	}
	if len(g.ResourceNames) > 0 && !slices.Contains(g.ResourceNames, info.Name) {
		return false
	}
	return len(g.Resources) == 0 || slices.ContainsFunc(g.Resources, func(pattern string) bool { return matchesKind(pattern, info) })
}

// matchesKind knows "*", "pods", "pods/log", "pods/*" and "*/scale".
func matchesKind(pattern string, info *request.Info) bool {
	if pattern == "*" {
		return true
	}
	kind, sub, hasSub := strings.Cut(pattern, "/")
	switch {
	case !hasSub:
		return kind == info.Resource && info.Subresource == ""
	case sub == "*":
		return kind == info.Resource
	case kind == "*":
		return info.Subresource != "" && sub == info.Subresource
	}
	return kind == info.Resource && sub == info.Subresource
}
