package storage

import (
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

var specPath = field.NewPath("spec")

// Limits of what a driver may ask for: of tokens, in seconds; of allocatable counts' updates, in seconds.
const (
	minToken  = 600
	maxToken  = 1 << 32
	minUpdate = 10
	maxNodeID = 192
)

func validateCSIDriver(_ *resource.Request, driver *storagev1.CSIDriver) field.ErrorList {
	spec := &driver.Spec
	var errs field.ErrorList
	needed := func(ok bool, name string) {
		if !ok {
			errs = append(errs, field.Required(specPath.Child(name), ""))
		}
	}
	needed(spec.AttachRequired != nil, "attachedRequired")
	needed(spec.PodInfoOnMount != nil, "podInfoOnMount")
	needed(spec.StorageCapacity != nil, "storageCapacity")
	needed(spec.FSGroupPolicy != nil, "fsGroupPolicy")
	errs = append(errs, core.OneOfIfSet(spec.FSGroupPolicy, specPath.Child("fsGroupPolicy"),
		storagev1.FileFSGroupPolicy, storagev1.NoneFSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)...)
	errs = append(errs, tokenRequests(spec.TokenRequests, specPath.Child("tokenRequests"))...)
	for i := range spec.VolumeLifecycleModes {
		errs = append(errs, core.OneOfIfSet(&spec.VolumeLifecycleModes[i], specPath.Child("volumeLifecycleModes"),
			storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral)...)
	}
	needed(spec.SELinuxMount != nil, "seLinuxMount")
	if period := spec.NodeAllocatableUpdatePeriodSeconds; period != nil && *period < minUpdate {
		errs = append(errs, field.Invalid(specPath.Child("nodeAllocatableUpdatePeriodSeconds"), *period, "must be greater than or equal to 10 seconds"))
	}
	return errs
}

func tokenRequests(list []storagev1.TokenRequest, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, token := range list {
		at := path.Index(i)
		if seen.Has(token.Audience) {
			errs = append(errs, field.Duplicate(at.Child("audience"), token.Audience))
		}
		seen.Insert(token.Audience)
		if token.ExpirationSeconds == nil {
			continue
		}
		if *token.ExpirationSeconds < minToken {
			errs = append(errs, field.Invalid(at.Child("expirationSeconds"), *token.ExpirationSeconds, "may not specify a duration less than 10 minutes"))
		}
		if *token.ExpirationSeconds > maxToken {
			errs = append(errs, field.Invalid(at.Child("expirationSeconds"), *token.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"))
		}
	}
	return errs
}

// validateCSIDriverUpdate reports attachRequired under the name that clients of upstream see.
func validateCSIDriverUpdate(r *resource.Request, driver, old *storagev1.CSIDriver) field.ErrorList {
	errs := validateCSIDriver(r, driver)
	errs = append(errs, core.Immutable(driver.Spec.AttachRequired, old.Spec.AttachRequired, specPath.Child("attachedRequired"))...)
	return append(errs, core.Immutable(driver.Spec.VolumeLifecycleModes, old.Spec.VolumeLifecycleModes, specPath.Child("volumeLifecycleModes"))...)
}

func validateCSINode(_ *resource.Request, node *storagev1.CSINode) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i := range node.Spec.Drivers {
		driver, at := &node.Spec.Drivers[i], specPath.Child("drivers").Index(i)
		errs = append(errs, nodeDriver(driver, at)...)
		if seen.Has(driver.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), driver.Name))
		}
		seen.Insert(driver.Name)
	}
	return errs
}

func nodeDriver(driver *storagev1.CSINodeDriver, at *field.Path) field.ErrorList {
	errs := core.CSIDriverName(driver.Name, at.Child("name"))
	switch id := driver.NodeID; {
	case id == "":
		errs = append(errs, field.Required(at.Child("nodeID"), ""))
	case len(id) > maxNodeID:
		errs = append(errs, field.Invalid(at.Child("nodeID"), id, fmt.Sprintf("must be %d characters or less", maxNodeID)))
	}
	if a := driver.Allocatable; a != nil && a.Count != nil {
		errs = append(errs, core.NonNegative(*a.Count, at.Child("allocatable", "count"))...)
	}
	seen := sets.New[string]()
	for _, key := range driver.TopologyKeys {
		if key == "" {
			errs = append(errs, field.Required(at, ""))
		}
		if seen.Has(key) {
			errs = append(errs, field.Duplicate(at, key))
		}
		seen.Insert(key)
		errs = append(errs, core.QualifiedName(key, at)...)
	}
	return errs
}

// validateCSINodeUpdate: a driver that is registered changes only in how much it can still take.
func validateCSINodeUpdate(r *resource.Request, node, old *storagev1.CSINode) field.ErrorList {
	errs := validateCSINode(r, node)
	for _, before := range old.Spec.Drivers {
		for _, now := range node.Spec.Drivers {
			if now.Name != before.Name {
				continue
			}
			same := now
			same.Allocatable = before.Allocatable
			if !apiequality.Semantic.DeepEqual(same, before) {
				errs = append(errs, field.Invalid(specPath.Child("drivers"), now, "field is immutable"))
			}
		}
	}
	return errs
}

func validateCapacity(_ *resource.Request, c *storagev1.CSIStorageCapacity) field.ErrorList {
	name := c.StorageClassName
	errs := core.LabelSelector(c.NodeTopology, field.NewPath("nodeTopology"))
	errs = append(errs, core.InvalidEach(field.NewPath("storageClassName"), name, apivalidation.NameIsDNSSubdomain(name, false))...)
	errs = append(errs, notNegative(c.Capacity, field.NewPath("capacity"))...)
	return append(errs, notNegative(c.MaximumVolumeSize, field.NewPath("maximumVolumeSize"))...)
}

func notNegative(q *apiresource.Quantity, at *field.Path) field.ErrorList {
	if q == nil || q.Sign() >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, q.String(), apivalidation.IsNegativeErrorMsg)}
}

func validateCapacityUpdate(r *resource.Request, c, old *storagev1.CSIStorageCapacity) field.ErrorList {
	errs := validateCapacity(r, c)
	errs = append(errs, core.Immutable(c.NodeTopology, old.NodeTopology, field.NewPath("nodeTopology"))...)
	return append(errs, core.Immutable(c.StorageClassName, old.StorageClassName, field.NewPath("storageClassName"))...)
}
