package apiextensions

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

var specPath = field.NewPath("spec")

func validateDefinition(_ *resource.Request, crd *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	var errs field.ErrorList
	if crd.Name != crd.Spec.Names.Plural+"."+crd.Spec.Group {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), crd.Name, `must be spec.names.plural+"."+spec.group`))
	}
	errs = append(errs, spec(&crd.Spec)...)
	return append(errs, approval(crd)...)
}

func spec(s *apiextensionsv1.CustomResourceDefinitionSpec) field.ErrorList {
	at := specPath.Child("group")
	var errs field.ErrorList
	switch wrong := validation.IsDNS1123Subdomain(s.Group); {
	case s.Group == "":
		errs = append(errs, field.Required(at, ""))
	case len(wrong) > 0:
		errs = append(errs, field.Invalid(at, s.Group, strings.Join(wrong, ",")))
	case !strings.Contains(s.Group, "."):
		errs = append(errs, field.Invalid(at, s.Group, "should be a domain with at least one dot"))
	}
	errs = append(errs, core.OneOf(s.Scope, specPath.Child("scope"), apiextensionsv1.ClusterScoped, apiextensionsv1.NamespaceScoped)...)
	if s.PreserveUnknownFields {
		errs = append(errs, field.Invalid(specPath.Child("preserveUnknownFields"), true,
			"cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"))
	}
	errs = append(errs, versions(s)...)
	errs = append(errs, names(&s.Names, specPath.Child("names"))...)
	return append(errs, conversion(s.Conversion, specPath.Child("conversion"))...)
}

func names(n *apiextensionsv1.CustomResourceDefinitionNames, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	label := func(value, intro string, at *field.Path) {
		shown := value
		if intro != "" {
			value = strings.ToLower(value)
		}
		if wrong := validation.IsDNS1035Label(value); len(wrong) > 0 {
			errs = append(errs, field.Invalid(at, shown, intro+strings.Join(wrong, ",")))
		}
	}
	const mixed = "may have mixed case, but should otherwise match: "
	for _, f := range []struct{ name, value, intro string }{
		{"plural", n.Plural, ""}, {"singular", n.Singular, ""}, {"kind", n.Kind, mixed}, {"listKind", n.ListKind, mixed},
	} {
		if f.value == "" {
			errs = append(errs, field.Required(path.Child(f.name), ""))
		} else {
			label(f.value, f.intro, path.Child(f.name))
		}
	}
	for i, name := range n.ShortNames {
		label(name, "", path.Child("shortNames").Index(i))
	}
	if n.Kind != "" && n.Kind == n.ListKind {
		errs = append(errs, field.Invalid(path.Child("listKind"), n.ListKind, "kind and listKind may not be the same"))
	}
	for i, category := range n.Categories {
		label(category, "", path.Child("categories").Index(i))
	}
	return errs
}

// conversion reports what is wrong with the webhook under the names that clients of upstream see: they are older.
func conversion(c *apiextensionsv1.CustomResourceConversion, path *field.Path) field.ErrorList {
	if c == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	errs := core.OneOf(c.Strategy, path.Child("strategy"), apiextensionsv1.NoneConverter, apiextensionsv1.WebhookConverter)
	if c.Strategy != apiextensionsv1.WebhookConverter {
		if c.Webhook != nil && c.Webhook.ClientConfig != nil {
			errs = append(errs, field.Forbidden(path.Child("webhookClientConfig"), "should not be set when strategy is not set to Webhook"))
		}
		return errs
	}
	at := path.Child("webhookClientConfig")
	var accepted []string
	if c.Webhook == nil || c.Webhook.ClientConfig == nil {
		errs = append(errs, field.Required(at, "required when strategy is set to Webhook"))
	} else if (c.Webhook.ClientConfig.URL == nil) == (c.Webhook.ClientConfig.Service == nil) {
		errs = append(errs, field.Required(at, "exactly one of url or service is required"))
	}
	if c.Webhook != nil {
		accepted = c.Webhook.ConversionReviewVersions
	}
	return append(errs, reviewVersions(accepted, path.Child("conversionReviewVersions"))...)
}

func reviewVersions(list []string, path *field.Path) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	known := false
	for i, version := range list {
		if slices.Contains(list[:i], version) {
			errs = append(errs, field.Invalid(path.Index(i), version, "duplicate version"))
		}
		errs = append(errs, core.InvalidEach(path.Index(i), version, validation.IsDNS1035Label(version))...)
		known = known || version == "v1" || version == "v1beta1"
	}
	if len(errs) == 0 && !known {
		errs = append(errs, field.Invalid(path, list, "must include at least one of v1, v1beta1"))
	}
	return errs
}

const approvalAnnotation = "api-approved.kubernetes.io"

// approval: groups of the Kubernetes community are for kinds that it has reviewed, or that say they are not.
func approval(crd *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	const see = `protected groups must have approval annotation "` + approvalAnnotation + `"`
	const where = ", see https://github.com/kubernetes/enhancements/pull/1111"
	dotted := "." + crd.Spec.Group
	if !strings.HasSuffix(dotted, ".k8s.io") && !strings.HasSuffix(dotted, ".kubernetes.io") {
		return nil
	}
	at, said := field.NewPath("metadata", "annotations").Key(approvalAnnotation), crd.Annotations[approvalAnnotation]
	if said == "" {
		return field.ErrorList{field.Required(at, see+where)}
	}
	if strings.HasPrefix(said, "unapproved") {
		return nil
	}
	if u, err := url.Parse(said); err != nil || u.Scheme == "" || u.Host == "" {
		return field.ErrorList{field.Invalid(at, said, see+` with either a URL or a reason starting with "unapproved"`+where)}
	}
	return nil
}

func validateDefinitionUpdate(_ *resource.Request, crd, old *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	errs := spec(&crd.Spec)
	if established(old) {
		errs = append(errs, core.Immutable(crd.Spec.Scope, old.Spec.Scope, specPath.Child("scope"))...)
		errs = append(errs, core.Immutable(crd.Spec.Names.Kind, old.Spec.Names.Kind, specPath.Child("names", "kind"))...)
	}
	errs = append(errs, core.Immutable(crd.Spec.Group, old.Spec.Group, specPath.Child("group"))...)
	errs = append(errs, core.Immutable(crd.Spec.Names.Plural, old.Spec.Names.Plural, specPath.Child("names", "plural"))...)
	return append(errs, storedVersions(crd)...)
}

func validateDefinitionStatus(_ *resource.Request, crd, _ *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	return storedVersions(crd)
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
}

// storedVersions: what lies in etcd must stay readable.
func storedVersions(crd *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	path, stored := field.NewPath("status", "storedVersions"), crd.Status.StoredVersions
	if len(stored) == 0 {
		return field.ErrorList{field.Invalid(path, stored, "must have at least one stored version")}
	}
	var errs field.ErrorList
	served := sets.New[string]()
	for _, v := range crd.Spec.Versions {
		served.Insert(v.Name)
		if v.Storage && !slices.Contains(stored, v.Name) {
			errs = append(errs, field.Invalid(path, stored, "must have the storage version "+v.Name))
		}
	}
	for i, name := range stored {
		if !served.Has(name) {
			errs = append(errs, field.Invalid(path.Index(i), name, fmt.Sprintf("missing from spec.versions; %[1]s was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in %[1]s and removes %[1]s from status.storedVersions", name)))
		}
	}
	return errs
}
