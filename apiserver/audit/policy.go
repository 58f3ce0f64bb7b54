package audit

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Policy is an audit.k8s.io/v1 Policy: which requests are recorded, and how much of each. The first rule that matches decides; a
// request that none matches is not recorded.
type Policy struct {
	metav1.TypeMeta
	metav1.ObjectMeta `json:"metadata"`
	Rules             []Rule  `json:"rules"`
	OmitStages        []Stage `json:"omitStages,omitempty"`
	OmitManagedFields bool    `json:"omitManagedFields,omitempty"`
}

// Rule is a PolicyRule. Every field that is given must match.
type Rule struct {
	Level             Level            `json:"level"`
	Users             []string         `json:"users,omitempty"`
	UserGroups        []string         `json:"userGroups,omitempty"`
	Verbs             []string         `json:"verbs,omitempty"`
	Resources         []GroupResources `json:"resources,omitempty"`
	Namespaces        []string         `json:"namespaces,omitempty"`
	NonResourceURLs   []string         `json:"nonResourceURLs,omitempty"`
	OmitStages        []Stage          `json:"omitStages,omitempty"`
	OmitManagedFields *bool            `json:"omitManagedFields,omitempty"`
}

// GroupResources are resources of one API group; "*" as the group is all groups.
type GroupResources struct {
	Group         string   `json:"group,omitempty"`
	Resources     []string `json:"resources,omitempty"`
	ResourceNames []string `json:"resourceNames,omitempty"`
}

// LoadPolicy reads a policy file. Errors name the file and every bad field.
func LoadPolicy(file string) (*Policy, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	policy, err := ParsePolicy(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return policy, nil
}

// ParsePolicy reads a policy in YAML or JSON. As upstream does, fields that nobody knows are said in the log and passed over.
func ParsePolicy(data []byte) (*Policy, error) {
	asJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, err
	}
	policy := &Policy{}
	unknown, err := kjson.UnmarshalStrict(asJSON, policy)
	if err != nil {
		return nil, err
	}
	if policy.APIVersion != apiVersion || policy.Kind != "Policy" {
		return nil, fmt.Errorf("it must be of kind Policy in %s, not %q in %q", apiVersion, policy.Kind, policy.APIVersion)
	}
	if len(unknown) > 0 {
		klog.ErrorS(errors.Join(unknown...), "The audit policy has fields without a meaning; they are passed over")
	}
	if errs := policy.validate(); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	if len(policy.Rules) == 0 {
		return nil, errors.New("a policy needs at least one rule")
	}
	return policy, nil
}

var (
	levels = []Level{None, Metadata, Request, RequestResponse}
	stages = []Stage{RequestReceived, ResponseStarted, ResponseComplete, Panic}
)

func (p *Policy) validate() field.ErrorList {
	errs := validateStages(p.OmitStages, field.NewPath("omitStages"))
	for i := range p.Rules {
		errs = append(errs, p.Rules[i].validate(field.NewPath("rules").Index(i))...)
	}
	return errs
}

func (r *Rule) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case r.Level == "":
		errs = append(errs, field.Required(path.Child("level"), ""))
	case !slices.Contains(levels, r.Level):
		errs = append(errs, field.NotSupported(path.Child("level"), r.Level, levels))
	}
	errs = append(errs, validatePaths(r.NonResourceURLs, path.Child("nonResourceURLs"))...)
	for i := range r.Resources {
		errs = append(errs, r.Resources[i].validate(path.Child("resources").Index(i))...)
	}
	errs = append(errs, validateStages(r.OmitStages, path.Child("omitStages"))...)
	if len(r.NonResourceURLs) > 0 && (len(r.Resources) > 0 || len(r.Namespaces) > 0) {
		errs = append(errs, field.Invalid(path.Child("nonResourceURLs"), r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
	}
	return errs
}

func (g *GroupResources) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if g.Group != "" && g.Group != "*" {
		for _, problem := range validation.IsDNS1123Subdomain(g.Group) {
			errs = append(errs, field.Invalid(path.Child("group"), g.Group, problem))
		}
	}
	if len(g.ResourceNames) > 0 && len(g.Resources) == 0 {
		errs = append(errs, field.Invalid(path.Child("resourceNames"), g.ResourceNames, "using resourceNames requires at least one resource"))
	}
	return errs
}

func validatePaths(urls []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, url := range urls {
		if url == "*" {
			continue
		}
		if !strings.HasPrefix(url, "/") {
			errs = append(errs, field.Invalid(path.Index(i), url, "non-resource URL rules must begin with a '/' character"))
		}
		if at := strings.IndexByte(url, '*'); at >= 0 && at != len(url)-1 {
			errs = append(errs, field.Invalid(path.Index(i), url, "non-resource URL wildcards '*' must be the final character of the rule"))
		}
	}
	return errs
}

func validateStages(omitted []Stage, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, stage := range omitted {
		if !slices.Contains(stages, stage) {
			errs = append(errs, field.NotSupported(path.Index(i), stage, stages))
		}
	}
	return errs
}
