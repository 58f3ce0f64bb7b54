// Package abac is attribute-based access control: a file with a policy in each line says who may do what.
// https://kubernetes.io/docs/reference/access-authn-authz/abac/
package abac

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Authorizer decides by the policies of a file: request.Authorizer. Any that matches allows; none ever denies.
type Authorizer []Policy

// Policy lets a user or a group do something. "*" is anything.
type Policy struct {
	User            string `json:"user,omitempty"`
	Group           string `json:"group,omitempty"`
	Readonly        bool   `json:"readonly,omitempty"`
	APIGroup        string `json:"apiGroup,omitempty"`
	Resource        string `json:"resource,omitempty"`
	Namespace       string `json:"namespace,omitempty"`
	NonResourcePath string `json:"nonResourcePath,omitempty"`
}

// line is one of the file: an object with a kind and a spec, or, as long ago, the policy itself.
type line struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Spec       *Policy `json:"spec"`
	Policy
}

const (
	apiVersion    = "abac.authorization.kubernetes.io/v1beta1"
	authenticated = "system:authenticated"
	longestLine   = 1 << 20
)

// Load reads a policy file. Errors name the file and the line.
func Load(file string) (Authorizer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	policies, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return policies, nil
}

// Parse reads policies, a JSON object in each line. Empty lines and those that begin with # are passed over.
func Parse(data []byte) (Authorizer, error) {
	var found Authorizer
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, longestLine)
	for n := 1; lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		policy, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		found = append(found, policy)
	}
	return found, lines.Err()
}

func parseLine(text []byte) (Policy, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return Policy{}, err
	}
	if l.APIVersion == "" && l.Kind == "" {
		return l.Policy.modern(), nil
	}
	if l.APIVersion != apiVersion || l.Kind != "Policy" {
		return Policy{}, fmt.Errorf("it must be of kind Policy in %s, not %q in %q", apiVersion, l.Kind, l.APIVersion)
	}
	if l.Spec == nil {
		return Policy{}, errors.New("spec is missing")
	}
	return l.Spec.known(), nil
}

// known lets "*" mean every user who is known, as it does in both forms.
func (p Policy) known() Policy {
	if p.User == "*" || p.Group == "*" {
		p.User, p.Group = "", authenticated
	}
	return p
}

// modern gives what the old form leaves out its meaning there: anything.
func (p Policy) modern() Policy {
	if p.User == "" && p.Group == "" {
		p.Group = authenticated
	}
	if p.Namespace == "" && p.Resource == "" {
		p.NonResourcePath = "*"
	}
	for _, field := range []*string{&p.Namespace, &p.Resource} {
		if *field == "" {
			*field = "*"
		}
	}
	p.APIGroup = "*"
	return p.known()
}

// Authorize is request.Authorizer.
func (a Authorizer) Authorize(_ context.Context, info *request.Info, user resource.User) (request.Decision, string, error) {
	for i := range a {
		if a[i].allows(info, &user) {
			return request.Allow, "", nil
		}
	}
	return request.NoOpinion, "No policy matched.", nil
}

// Rules is request.RuleLister.
func (a Authorizer) Rules(_ context.Context, user resource.User, namespace string) (resources []request.ResourceRule, paths []request.PathRule, incomplete bool, err error) {
	for i := range a {
		p := &a[i]
		if !p.concerns(&user) {
			continue
		}
		verbs := []string{"*"}
		if p.Readonly {
			verbs = readonly
		}
		if p.Namespace == "*" || p.Namespace == namespace {
			resources = append(resources, request.ResourceRule{Verbs: verbs, APIGroups: []string{p.APIGroup}, Resources: []string{p.Resource}})
		}
		if p.NonResourcePath != "" {
			paths = append(paths, request.PathRule{Verbs: verbs, Paths: []string{p.NonResourcePath}})
		}
	}
	return resources, paths, false, nil
}

var readonly = []string{"get", "list", "watch"}

func (p *Policy) allows(info *request.Info, user *resource.User) bool {
	if !p.concerns(user) || p.Readonly && !slices.Contains(readonly, info.Verb) {
		return false
	}
	if !info.IsResource {
		prefix, open := strings.CutSuffix(p.NonResourcePath, "*")
		return p.NonResourcePath == info.Path || open && strings.HasPrefix(info.Path, prefix)
	}
	is := func(pattern, value string) bool { return pattern == "*" || pattern == value }
	return is(p.Namespace, info.Namespace) && is(p.Resource, info.Resource) && is(p.APIGroup, info.Group)
}

// concerns says whether a policy is about a user: both must match if both are given, and one must be.
func (p *Policy) concerns(user *resource.User) bool {
	if p.User == "" && p.Group == "" {
		return false
	}
	return (p.User == "" || p.User == user.Name) && (p.Group == "" || slices.Contains(user.Groups, p.Group))
}
