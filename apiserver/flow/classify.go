package flow

import (
	"hash/maphash"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// flowSchema is a FlowSchema with the level to which it leads.
type flowSchema struct {
	object *flowcontrolv1.FlowSchema
	level  *level
	counts *flowCounts
	// uid and levelUID are header values.
	uid, levelUID []string
	salt          uint64
	// by is what tells flows apart, if there are queues to put them in.
	by flowcontrolv1.FlowDistinguisherMethodType
}

var seed = maphash.MakeSeed()

// hash is that of a request's flow.
func (c *flowSchema) hash(s *request.State) uint64 {
	if name := c.distinguish(s); name != "" {
		return maphash.String(seed, name) ^ c.salt
	}
	return c.salt
}

// distinguish is what tells the request's flow from others of the schema.
func (c *flowSchema) distinguish(s *request.State) string {
	switch c.by {
	case flowcontrolv1.FlowDistinguisherMethodByUserType:
		return s.User.Name
	case flowcontrolv1.FlowDistinguisherMethodByNamespaceType:
		return s.Namespace
	}
	return ""
}

// match returns the first schema that a request belongs to.
func (t *table) match(info *request.Info, user *resource.User) *flowSchema {
	for _, c := range t.schemas {
		if matches(c.object, info, user) {
			return c
		}
	}
	return t.catchAll // only a user of neither of the two groups that everybody is in gets here
}

func matches(object *flowcontrolv1.FlowSchema, info *request.Info, user *resource.User) bool {
	for i := range object.Spec.Rules {
		rule := &object.Spec.Rules[i]
		if info.IsResource && len(rule.ResourceRules) == 0 || !info.IsResource && len(rule.NonResourceRules) == 0 || !isSubject(rule.Subjects, user) {
			continue
		}
		if info.IsResource && isResource(rule.ResourceRules, info) || !info.IsResource && isPath(rule.NonResourceRules, info) {
			return true
		}
	}
	return false
}

func isSubject(subjects []flowcontrolv1.Subject, user *resource.User) bool {
	for i := range subjects {
		switch subject := &subjects[i]; {
		case subject.User != nil && subject.Kind == flowcontrolv1.SubjectKindUser:
			if subject.User.Name == flowcontrolv1.NameAll || subject.User.Name == user.Name {
				return true
			}
		case subject.Group != nil && subject.Kind == flowcontrolv1.SubjectKindGroup:
			if subject.Group.Name == flowcontrolv1.NameAll || slices.Contains(user.Groups, subject.Group.Name) {
				return true
			}
		case subject.ServiceAccount != nil && subject.Kind == flowcontrolv1.SubjectKindServiceAccount:
			if isAccount(subject.ServiceAccount, user.Name) {
				return true
			}
		}
	}
	return false
}

// isAccount compares without building the name.
func isAccount(subject *flowcontrolv1.ServiceAccountSubject, user string) bool {
	rest, is := strings.CutPrefix(user, "system:serviceaccount:")
	if !is {
		return false
	}
	namespace, name, is := strings.Cut(rest, ":")
	return is && namespace == subject.Namespace && (subject.Name == flowcontrolv1.NameAll || subject.Name == name)
}

func isResource(rules []flowcontrolv1.ResourcePolicyRule, info *request.Info) bool {
	for i := range rules {
		rule := &rules[i]
		if !has(rule.Verbs, info.Verb) || !has(rule.APIGroups, info.Group) || !hasResource(rule.Resources, info) {
			continue
		}
		if info.Namespace == "" && rule.ClusterScope || info.Namespace != "" && has(rule.Namespaces, info.Namespace) {
			return true
		}
	}
	return false
}

// hasResource looks for "resource" or "resource/subresource".
func hasResource(names []string, info *request.Info) bool {
	for _, name := range names {
		if name == flowcontrolv1.ResourceAll {
			return true
		}
		resource, sub, _ := strings.Cut(name, "/")
		if resource == info.Resource && sub == info.Subresource {
			return true
		}
	}
	return false
}

func isPath(rules []flowcontrolv1.NonResourcePolicyRule, info *request.Info) bool {
	for i := range rules {
		if !has(rules[i].Verbs, info.Verb) {
			continue
		}
		for _, wanted := range rules[i].NonResourceURLs {
			prefix := strings.TrimSuffix(strings.TrimSuffix(wanted, "*"), "/")
			if wanted == flowcontrolv1.NonResourceAll || wanted == info.Path || len(info.Path) > len(prefix) && info.Path[len(prefix)] == '/' && strings.HasPrefix(info.Path, prefix) {
				return true
			}
		}
	}
	return false
}

// has looks for a name in a list in which a star stands for all.
func has(list []string, name string) bool {
	for _, one := range list {
		if one == "*" || one == name {
			return true
		}
	}
	return false
}
