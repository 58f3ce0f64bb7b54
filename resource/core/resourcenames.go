package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Names of resources: "cpu", the standard ones without a prefix; "kubernetes.io/x", native; "example.com/gpu", extended.

// NativeResource says whether a name belongs to Kubernetes itself.
func NativeResource(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// ExtendedResource says whether a name may stand for something that a node counts: a device, a license.
func ExtendedResource(name corev1.ResourceName) bool {
	if NativeResource(name) || strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	// It must be usable in a quota as well.
	return len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// overcommittable resources may have limits above their requests.
func overcommittable(name corev1.ResourceName) bool {
	return NativeResource(name) && !isHugePages(name)
}

func containerStandard(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage || isHugePages(name)
}

// quotaNames are the standard resources that a quota can bound, counted ones first.
var (
	countedNames = []corev1.ResourceName{
		corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers,
		corev1.ResourceSecrets, corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims,
		corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
	}
	measuredNames = []corev1.ResourceName{
		corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsStorage, corev1.ResourceRequestsEphemeralStorage,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
	}
)

func standard(name corev1.ResourceName) bool {
	return slices.Contains(countedNames, name) || slices.Contains(measuredNames, name) || name == corev1.ResourceStorage ||
		isHugePages(name) || strings.HasPrefix(string(name), "requests."+corev1.ResourceHugePagesPrefix)
}

func quotaStandard(name corev1.ResourceName) bool {
	return slices.Contains(countedNames, name) || slices.Contains(measuredNames, name) ||
		isHugePages(name) || strings.HasPrefix(string(name), "requests."+corev1.ResourceHugePagesPrefix)
}

// whole says whether amounts of a resource are whole numbers.
func whole(name corev1.ResourceName) bool {
	return slices.Contains(countedNames, name) || ExtendedResource(name)
}

// resourceName checks a name wherever resources are named.
func resourceName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	errs := QualifiedName(string(name), path)
	if len(errs) == 0 && !strings.Contains(string(name), "/") && !standard(name) {
		errs = append(errs, field.Invalid(path, name, "must be a standard resource type or fully qualified"))
	}
	return errs
}

// containerResourceName checks a name in a container's resources.
func containerResourceName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	errs := resourceName(name, path)
	if !strings.Contains(string(name), "/") {
		if !containerStandard(name) {
			errs = append(errs, field.Invalid(path, name, "must be a standard resource for containers"))
		}
	} else if !NativeResource(name) && !ExtendedResource(name) {
		errs = append(errs, field.Invalid(path, name, "doesn't follow extended resource name standard"))
	}
	return errs
}

// quotaResourceName checks a name in a ResourceQuota.
func quotaResourceName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	errs := resourceName(name, path)
	if !strings.Contains(string(name), "/") && !quotaStandard(name) {
		errs = append(errs, field.Invalid(path, name, "must be a standard resource for quota"))
	}
	return errs
}

// quantity checks an amount: not negative, and whole where only whole ones exist.
func quantity(name corev1.ResourceName, amount resource.Quantity, path *field.Path) field.ErrorList {
	errs := nonNegativeQuantity(amount, path)
	if whole(name) && amount.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, amount, notInteger))
	}
	return errs
}

func nonNegativeQuantity(amount resource.Quantity, path *field.Path) field.ErrorList {
	if amount.Sign() < 0 {
		return field.ErrorList{field.Invalid(path, amount.String(), "must be greater than or equal to 0")}
	}
	return nil
}

func positiveQuantity(amount resource.Quantity, path *field.Path) field.ErrorList {
	if amount.Sign() <= 0 {
		return field.ErrorList{field.Invalid(path, amount.String(), notPositive)}
	}
	return nil
}
