package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Configuration is an apiserver.config.k8s.io/v1 AuthorizationConfiguration: who decides, in order.
type Configuration struct {
	metav1.TypeMeta
	Authorizers []Entry `json:"authorizers"`
}

// Entry is one of those who decide: a mode's name, or Webhook.
type Entry struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Webhook *Webhook `json:"webhook,omitempty"`
}

// Webhook says how one is asked, when, and what it means if it cannot be.
type Webhook struct {
	AuthorizedTTL                            metav1.Duration `json:"authorizedTTL"`
	CacheAuthorizedRequests                  *bool           `json:"cacheAuthorizedRequests,omitempty"`
	UnauthorizedTTL                          metav1.Duration `json:"unauthorizedTTL"`
	CacheUnauthorizedRequests                *bool           `json:"cacheUnauthorizedRequests,omitempty"`
	Timeout                                  metav1.Duration `json:"timeout"`
	SubjectAccessReviewVersion               string          `json:"subjectAccessReviewVersion"`
	MatchConditionSubjectAccessReviewVersion string          `json:"matchConditionSubjectAccessReviewVersion"`
	FailurePolicy                            string          `json:"failurePolicy"`
	ConnectionInfo                           ConnectionInfo  `json:"connectionInfo"`
	MatchConditions                          []Condition     `json:"matchConditions"`
}

// ConnectionInfo names the webhook's kubeconfig file.
type ConnectionInfo struct {
	Type           string  `json:"type"`
	KubeConfigFile *string `json:"kubeConfigFile"`
}

// Condition is an expression that must be true of a request for the webhook to be asked.
type Condition struct {
	Expression string `json:"expression"`
}

const (
	// TypeWebhook is the type of an Entry that is a webhook.
	TypeWebhook = "Webhook"

	failDeny, failNoOpinion = "Deny", "NoOpinion"
	maxConditions           = 64
	longestTimeout          = 30 * time.Second
)

// Types are what an Entry may be.
var Types = []string{"ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", TypeWebhook}

var versions = []string{"apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"}

// Parse reads a configuration in YAML or JSON and checks it. All that is wrong is in the error.
func Parse(data []byte) (*Configuration, error) {
	asJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, err
	}
	config := &Configuration{}
	strict, err := kjson.UnmarshalStrict(asJSON, config)
	if err != nil {
		return nil, err
	}
	if len(strict) > 0 {
		return nil, strict[0]
	}
	if !slices.Contains(versions, config.APIVersion) || config.Kind != "AuthorizationConfiguration" {
		return nil, fmt.Errorf("it must be of kind AuthorizationConfiguration in %s, not %q in %q", versions[0], config.Kind, config.APIVersion)
	}
	for i := range config.Authorizers {
		if w := config.Authorizers[i].Webhook; w != nil {
			w.complete()
		}
	}
	if errs := config.validate(); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return config, nil
}

// complete fills in upstream's defaults.
func (w *Webhook) complete() {
	if w.AuthorizedTTL.Duration == 0 {
		w.AuthorizedTTL.Duration = 5 * time.Minute
	}
	if w.UnauthorizedTTL.Duration == 0 {
		w.UnauthorizedTTL.Duration = 30 * time.Second
	}
}

func (c *Configuration) validate() field.ErrorList {
	var errs field.ErrorList
	root := field.NewPath("authorizers")
	if len(c.Authorizers) == 0 {
		return field.ErrorList{field.Required(root, "at least one authorization mode must be defined")}
	}
	types, names := map[string]bool{}, map[string]bool{}
	for i, e := range c.Authorizers {
		path := root.Index(i)
		switch {
		case e.Type == "":
			errs = append(errs, field.Required(path.Child("type"), ""))
			continue
		case !slices.Contains(Types, e.Type):
			errs = append(errs, field.NotSupported(path.Child("type"), e.Type, Types))
			continue
		case types[e.Type] && e.Type != TypeWebhook:
			errs = append(errs, field.Duplicate(path.Child("type"), e.Type))
			continue
		}
		errs = append(errs, validateName(e.Name, names, path.Child("name"))...)
		types[e.Type], names[e.Name] = true, true
		switch {
		case e.Type == TypeWebhook && e.Webhook == nil:
			errs = append(errs, field.Required(path.Child("webhook"), "required when type=Webhook"))
		case e.Type == TypeWebhook:
			errs = append(errs, e.Webhook.validate(path.Child("webhook"))...)
		case e.Webhook != nil:
			errs = append(errs, field.Invalid(path.Child("webhook"), "non-null", "may only be specified when type=Webhook"))
		}
	}
	return errs
}

func validateName(name string, taken map[string]bool, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if taken[name] {
		return field.ErrorList{field.Duplicate(path, name)}
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return field.ErrorList{field.Invalid(path, name, "authorizer name is invalid: "+strings.Join(problems, ", "))}
	}
	return nil
}

func (w *Webhook) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if timeout := w.Timeout.Duration; timeout == 0 {
		errs = append(errs, field.Required(path.Child("timeout"), ""))
	} else if timeout < 0 || timeout > longestTimeout {
		errs = append(errs, field.Invalid(path.Child("timeout"), timeout.String(), "must be > 0s and <= 30s"))
	}
	for name, ttl := range map[string]time.Duration{"authorizedTTL": w.AuthorizedTTL.Duration, "unauthorizedTTL": w.UnauthorizedTTL.Duration} {
		if ttl < 0 {
			errs = append(errs, field.Invalid(path.Child(name), ttl.String(), "must be > 0s"))
		}
	}
	oneOf := func(name, value string, allowed ...string) {
		if value == "" {
			errs = append(errs, field.Required(path.Child(name), ""))
		} else if !slices.Contains(allowed, value) {
			errs = append(errs, field.NotSupported(path.Child(name), value, allowed))
		}
	}
	oneOf("subjectAccessReviewVersion", w.SubjectAccessReviewVersion, "v1", "v1beta1")
	oneOf("failurePolicy", w.FailurePolicy, failNoOpinion, failDeny)
	if w.MatchConditionSubjectAccessReviewVersion != "" || len(w.MatchConditions) > 0 {
		oneOf("matchConditionSubjectAccessReviewVersion", w.MatchConditionSubjectAccessReviewVersion, "v1")
	}
	errs = append(errs, w.ConnectionInfo.validate(path.Child("connectionInfo"))...)
	return append(errs, validateConditions(w.MatchConditions, path.Child("matchConditions"))...)
}

func (c *ConnectionInfo) validate(path *field.Path) field.ErrorList {
	file := path.Child("kubeConfigFile")
	switch {
	case c.Type == "":
		return field.ErrorList{field.Required(path.Child("type"), "")}
	case c.Type == "InClusterConfig":
		return field.ErrorList{field.Forbidden(path.Child("type"), "not allowed for kube-apiserver")}
	case c.Type != "KubeConfigFile":
		return field.ErrorList{field.NotSupported(path.Child("type"), c.Type, []string{"KubeConfigFile"})}
	case c.KubeConfigFile == nil || *c.KubeConfigFile == "":
		return field.ErrorList{field.Required(file, "")}
	case !filepath.IsAbs(*c.KubeConfigFile):
		return field.ErrorList{field.Invalid(file, *c.KubeConfigFile, "must be an absolute path")}
	}
	info, err := os.Stat(*c.KubeConfigFile)
	if err != nil {
		return field.ErrorList{field.Invalid(file, *c.KubeConfigFile, fmt.Sprintf("error loading file: %v", err))}
	}
	if !info.Mode().IsRegular() {
		return field.ErrorList{field.Invalid(file, *c.KubeConfigFile, "must be a regular file")}
	}
	return nil
}

func validateConditions(conditions []Condition, path *field.Path) field.ErrorList {
	if len(conditions) > maxConditions {
		return field.ErrorList{field.TooMany(path, len(conditions), maxConditions)}
	}
	var errs field.ErrorList
	taken := map[string]bool{}
	for i, c := range conditions {
		at := path.Index(i).Child("expression")
		switch {
		case strings.TrimSpace(c.Expression) == "":
			errs = append(errs, field.Required(at, ""))
		case taken[c.Expression]:
			errs = append(errs, field.Duplicate(at, c.Expression))
		default:
			if _, err := compile(c.Expression); err != nil {
				errs = append(errs, field.Invalid(at, c.Expression, err.Error()))
			}
		}
		taken[c.Expression] = true
	}
	return errs
}
