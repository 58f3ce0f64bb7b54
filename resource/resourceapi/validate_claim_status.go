package resourceapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	resourcev1 "k8s.io/api/resource/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// validateClaimStatus: what is allocated stays until it is let go, and only what is allocated can be reserved.
func validateClaimStatus(_ *resource.Request, c, old *resourcev1.ResourceClaim) field.ErrorList {
	status, at := &c.Status, statusPath.Child("reservedFor")
	errs := each(status.ReservedFor, resourcev1.ResourceClaimReservedForMaxSize, at, consumer)
	errs = append(errs, unique(status.ReservedFor, at, func(r *resourcev1.ResourceClaimConsumerReference) types.UID { return r.UID })...)
	errs = append(errs, deviceStatuses(status)...)
	switch {
	case len(status.ReservedFor) == 0:
	case status.Allocation == nil:
		errs = append(errs, field.Forbidden(at, "may not be specified when `allocated` is not set"))
	case c.DeletionTimestamp != nil && slices.ContainsFunc(status.ReservedFor, func(r resourcev1.ResourceClaimConsumerReference) bool {
		return !slices.Contains(old.Status.ReservedFor, r)
	}):
		errs = append(errs, field.Forbidden(at, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"))
	}
	switch at := statusPath.Child("allocation"); {
	case status.Allocation == nil:
	case old.Status.Allocation != nil:
		errs = append(errs, core.Immutable(status.Allocation, old.Status.Allocation, at)...)
	default:
		errs = append(errs, allocation(status.Allocation, &c.Spec.Devices, at)...)
	}
	return errs
}

func consumer(r *resourcev1.ResourceClaimConsumerReference, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, f := range []struct{ name, value string }{{"resource", r.Resource}, {"name", r.Name}, {"uid", string(r.UID)}} {
		if f.value == "" {
			errs = append(errs, field.Required(at.Child(f.name), ""))
		}
	}
	return errs
}

// allocation checks which devices a claim has got.
func allocation(a *resourcev1.AllocationResult, claim *resourcev1.DeviceClaim, path *field.Path) field.ErrorList {
	at := path.Child("devices")
	errs := each(a.Devices.Results, resourcev1.AllocationResultsMaxSize, at.Child("results"),
		func(r *resourcev1.DeviceRequestAllocationResult, at *field.Path) field.ErrorList {
			errs := reference(r.Request, claim, at.Child("request"))
			errs = append(errs, deviceID(r.Driver, r.Pool, r.Device, at)...)
			errs = append(errs, bindingConditions(r.BindingConditions, r.BindingFailureConditions, at)...)
			if r.ShareID != nil {
				errs = append(errs, shareID(string(*r.ShareID), at.Child("shareID"))...)
			}
			return errs
		})
	errs = append(errs, each(a.Devices.Config, 2*resourcev1.DeviceConfigMaxSize, at.Child("config"), // of the class and of the claim
		func(c *resourcev1.DeviceAllocationConfiguration, at *field.Path) field.ErrorList {
			errs := core.OneOf(c.Source, at.Child("source"), resourcev1.AllocationConfigSourceClaim, resourcev1.AllocationConfigSourceClass)
			errs = append(errs, references(c.Requests, claim, at.Child("requests"))...)
			return append(errs, configuration(&c.DeviceConfiguration, at)...)
		})...)
	if a.NodeSelector != nil {
		errs = append(errs, core.NodeSelector(a.NodeSelector, path.Child("nodeSelector"))...)
	}
	return errs
}

func deviceID(driver, pool, device string, at *field.Path) field.ErrorList {
	errs := core.CSIDriverName(driver, at.Child("driver"))
	errs = append(errs, poolName(pool, at.Child("pool"))...)
	return append(errs, core.DNSLabel(device, at.Child("device"))...)
}

func shareID(id string, at *field.Path) field.ErrorList {
	if err := uuid.Validate(id); err != nil {
		return field.ErrorList{field.Invalid(at, id, fmt.Sprintf("error validating uid: %v", err))}
	}
	const length = 36
	if len(id) != length || id != strings.ToLower(id) {
		return field.ErrorList{field.Invalid(at, id, "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters")}
	}
	return nil
}

// shared names a device, or somebody's part of it.
type shared struct{ driver, pool, device, share string }

// String is how drivers write it.
func (s shared) String() string {
	id := s.driver + "/" + s.pool + "/" + s.device
	if s.share != "" {
		id += "/" + s.share
	}
	return id
}

// deviceStatuses checks what drivers report of devices: of those that the claim has (KEP-4817).
func deviceStatuses(status *resourcev1.ResourceClaimStatus) field.ErrorList {
	allocated := map[shared]bool{}
	if status.Allocation != nil {
		for _, r := range status.Allocation.Devices.Results {
			allocated[shared{r.Driver, r.Pool, r.Device, string(ptr.Deref(r.ShareID, ""))}] = true
		}
	}
	key := func(d *resourcev1.AllocatedDeviceStatus) shared {
		return shared{d.Driver, d.Pool, d.Device, ptr.Deref(d.ShareID, "")}
	}
	at := statusPath.Child("devices")
	errs := each(status.Devices, -1, at, func(d *resourcev1.AllocatedDeviceStatus, at *field.Path) field.ErrorList {
		errs := deviceID(d.Driver, d.Pool, d.Device, at)
		if d.ShareID != nil {
			errs = append(errs, shareID(*d.ShareID, at.Child("shareID"))...)
		}
		if !allocated[key(d)] {
			errs = append(errs, field.Invalid(at, key(d).String(), "must be an allocated device in the claim"))
		}
		if n := len(d.Conditions); n > resourcev1.AllocatedDeviceStatusMaxConditions {
			errs = append(errs, field.TooMany(at.Child("conditions"), n, resourcev1.AllocatedDeviceStatusMaxConditions))
		}
		errs = append(errs, metav1validation.ValidateConditions(d.Conditions, at.Child("conditions"))...)
		if d.Data != nil && len(d.Data.Raw) > 0 {
			errs = append(errs, object(d.Data, resourcev1.AllocatedDeviceStatusDataMaxLength, at.Child("data"))...)
		}
		return append(errs, network(d.NetworkData, at.Child("networkData"))...)
	})
	return append(errs, unique(status.Devices, at, key)...)
}

func network(data *resourcev1.NetworkDeviceData, at *field.Path) field.ErrorList {
	if data == nil {
		return nil
	}
	var errs field.ErrorList
	if most := resourcev1.NetworkDeviceDataInterfaceNameMaxLength; len(data.InterfaceName) > most {
		errs = append(errs, field.TooLong(at.Child("interfaceName"), "", most))
	}
	if most := resourcev1.NetworkDeviceDataHardwareAddressMaxLength; len(data.HardwareAddress) > most {
		errs = append(errs, field.TooLong(at.Child("hardwareAddress"), "", most))
	}
	errs = append(errs, each(data.IPs, resourcev1.NetworkDeviceDataMaxIPs, at.Child("ips"),
		func(ip *string, at *field.Path) field.ErrorList { return validation.IsValidInterfaceAddress(at, *ip) })...)
	return append(errs, unique(data.IPs, at.Child("ips"), same)...)
}
