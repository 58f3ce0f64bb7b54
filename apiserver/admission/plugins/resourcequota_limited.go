package plugins

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/config"
	"github.com/septet-io/septet/resource/quota"
)

// quotaConfiguration says what may be consumed only where a quota covers it.
// https://kubernetes.io/docs/concepts/policy/resource-quotas/#limit-priority-class-consumption-by-default
type quotaConfiguration struct {
	metav1.TypeMeta  `json:",inline"`
	LimitedResources []limitedResource `json:"limitedResources"`
}

type limitedResource struct {
	APIGroup string `json:"apiGroup"`
	Resource string `json:"resource"`
	// MatchContains are parts of the names of amounts, such as ".storageclass.storage.k8s.io/requests.storage".
	MatchContains []string `json:"matchContains"`
	// MatchScopes are scopes that a quota must have which covers an object in them.
	MatchScopes []corev1.ScopedResourceSelectorRequirement `json:"matchScopes"`
}

// quotaConfigurations are the kinds of configuration by version; all have the same fields.
var quotaConfigurations = map[string]string{
	"apiserver.config.k8s.io/v1":              "ResourceQuotaConfiguration",
	"resourcequota.admission.k8s.io/v1beta1":  "Configuration",
	"resourcequota.admission.k8s.io/v1alpha1": "Configuration",
}

// limitedResources reads the configuration; nil if there is none.
func limitedResources(from *config.Config) ([]limitedResource, error) {
	var c quotaConfiguration
	if found, err := from.Read("ResourceQuota", &c, ""); err != nil || !found {
		return nil, err
	}
	if c.Kind == "" || quotaConfigurations[c.APIVersion] != c.Kind {
		return nil, fmt.Errorf("it is a %q of %q, not a ResourceQuotaConfiguration of apiserver.config.k8s.io/v1", c.Kind, c.APIVersion)
	}
	var errs field.ErrorList
	for i := range c.LimitedResources {
		if c.LimitedResources[i].Resource == "" {
			errs = append(errs, field.Required(field.NewPath("limitedResources").Index(i).Child("resource"), ""))
		}
	}
	return c.LimitedResources, errs.ToAggregate()
}

// covered refuses what is limited by default and what no quota covers: amounts that no quota has a limit for, and scopes that no quota
// names which the object is in.
func covered(a *admission.Attributes, limited []limitedResource, all []*corev1.ResourceQuota, usage corev1.ResourceList) error {
	hard := corev1.ResourceList{}
	var scopes []corev1.ScopedResourceSelectorRequirement
	for _, q := range all {
		scopes = append(scopes, quota.ScopesOf(q, a.Object)...)
		if quota.Matches(q, a.Object) {
			quota.Add(hard, q.Status.Hard)
		}
	}
	if names := uncovered(a, limited, usage, hard); len(names) > 0 {
		return forbidden(a, fmt.Errorf("insufficient quota to consume: %s", joinNames(names)))
	}
	var missing []corev1.ScopedResourceSelectorRequirement
	for i := range limited {
		for _, scope := range quota.Scopes(limited[i].MatchScopes, a.Object) {
			if !slices.ContainsFunc(scopes, func(s corev1.ScopedResourceSelectorRequirement) bool { return s.ScopeName == scope.ScopeName }) {
				missing = append(missing, scope)
			}
		}
	}
	if len(missing) > 0 {
		return forbidden(a, fmt.Errorf("insufficient quota to match these scopes: %v", missing))
	}
	return nil
}

// uncovered are the amounts, in order, that are limited by default and for which no quota has a limit.
func uncovered(a *admission.Attributes, limited []limitedResource, usage, hard corev1.ResourceList) (names []corev1.ResourceName) {
	for _, name := range quota.Names(usage) {
		amount := usage[name]
		if _, has := hard[name]; has || amount.Sign() <= 0 {
			continue
		}
		meant := func(l limitedResource) bool {
			return l.APIGroup == a.Resource.Group && l.Resource == a.Resource.Resource &&
				slices.ContainsFunc(l.MatchContains, func(part string) bool { return strings.Contains(string(name), part) })
		}
		if slices.ContainsFunc(limited, meant) {
			names = append(names, name)
		}
	}
	return names
}
