package core

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/septet-io/septet/resource"
)

func validateNode(_ *resource.Request, node *corev1.Node) field.ErrorList {
	errs := taints(node.Spec.Taints, nodeTaints)
	errs = append(errs, nodeResources(node)...)
	return append(errs, nodeSpec(node)...)
}

// nodeTaints is where errors in taints are reported: clients know them from there.
var nodeTaints = field.NewPath("metadata", "taints")

// nodeSpec checks what must hold on every write.
func nodeSpec(node *corev1.Node) field.ErrorList {
	errs := declaredFeatures(node.Status.DeclaredFeatures, statusPath.Child("declaredFeatures"))
	path, cidrs := specPath.Child("podCIDRs"), node.Spec.PodCIDRs
	for i, cidr := range cidrs {
		errs = append(errs, validation.IsValidCIDRForLegacyField(path.Index(i), cidr, false, nil)...)
	}
	if len(cidrs) > 1 {
		dual, err := netutils.IsDualStackCIDRStrings(cidrs)
		if err != nil {
			errs = append(errs, field.InternalError(path, fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:%w", err)))
		}
		if !dual || len(cidrs) > 2 {
			errs = append(errs, field.Invalid(path, cidrs, "may specify no more than one CIDR for each IP family"))
		}
	}
	return errs
}

// declaredFeature is the form of a feature's name: words in camel case, parted by slashes, the first with a capital.
var declaredFeature = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*$`)

// declaredFeatures checks what a kubelet says that it can do (KEP-5328): sorted names, each once.
func declaredFeatures(list []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, name := range list {
		switch {
		case len(name) > validation.DNS1123SubdomainMaxLength:
			errs = append(errs, field.Invalid(path.Index(i), name, fmt.Sprintf("invalid feature name %q: must be no more than %d characters", name, validation.DNS1123SubdomainMaxLength)))
		case !declaredFeature.MatchString(name):
			errs = append(errs, field.Invalid(path.Index(i), name, fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, "+
				"with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", name)))
		}
		if i > 0 && list[i-1] == name {
			errs = append(errs, field.Duplicate(path.Index(i), name))
		} else if i > 0 && list[i-1] > name {
			errs = append(errs, field.Invalid(path.Index(i), name, "list must be sorted alphabetically"))
		}
	}
	return errs
}

func taints(list []corev1.Taint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	type key struct {
		key    string
		effect corev1.TaintEffect
	}
	seen := sets.New[key]()
	for i, taint := range list {
		at := path.Index(i)
		errs = append(errs, metav1validation.ValidateLabelName(taint.Key, at.Child("key"))...)
		if wrong := validation.IsValidLabelValue(taint.Value); len(wrong) > 0 {
			errs = append(errs, field.Invalid(at.Child("value"), taint.Value, strings.Join(wrong, ";")))
		}
		errs = append(errs, taintEffect(taint.Effect, at.Child("effect"))...)
		if k := (key{taint.Key, taint.Effect}); seen.Has(k) {
			twice := field.Duplicate(at, taint)
			twice.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, twice)
		} else {
			seen.Insert(k)
		}
	}
	return errs
}

func nodeResources(node *corev1.Node) field.ErrorList {
	var errs field.ErrorList
	for name, amount := range node.Status.Capacity {
		errs = append(errs, quantity(name, amount, statusPath.Child("capacity", string(name)))...)
	}
	for name, amount := range node.Status.Allocatable {
		errs = append(errs, quantity(name, amount, statusPath.Child("allocatable", string(name)))...)
	}
	return errs
}

// validateNodeUpdate: what a cloud or the range allocator once gave a node stays.
func validateNodeUpdate(_ *resource.Request, node, old *corev1.Node) field.ErrorList {
	errs := append(nodeResources(node), nodeSpec(node)...)
	seen := sets.New[corev1.NodeAddress]()
	for i, address := range node.Status.Addresses {
		if seen.Has(address) {
			errs = append(errs, field.Duplicate(statusPath.Child("addresses").Index(i), address))
		}
		seen.Insert(address)
	}
	if len(old.Spec.PodCIDRs) > 0 && !slices.Equal(node.Spec.PodCIDRs, old.Spec.PodCIDRs) {
		errs = append(errs, field.Forbidden(specPath.Child("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid"))
	}
	if old.Spec.ProviderID != "" && node.Spec.ProviderID != old.Spec.ProviderID {
		errs = append(errs, field.Forbidden(specPath.Child("providerID"), "node updates may not change providerID except from \"\" to valid"))
	}
	errs = append(errs, taints(node.Spec.Taints, nodeTaints)...)
	if node.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		errs = append(errs, field.Forbidden(specPath.Child("externalID"), "may not be updated"))
	}
	return errs
}

// warnNode warns about labels and fields that nobody reads any longer.
func warnNode(_ *resource.Request, node, _ *corev1.Node) []string {
	var w warner
	if node.Spec.ConfigSource != nil {
		w.at(specPath.Child("configSource"), "the feature is removed")
	}
	if node.Spec.DoNotUseExternalID != "" {
		w.at(specPath.Child("externalID"), "this field is deprecated, and is unused by Kubernetes")
	}
	return w
}
