package storage

import (
	"strings"

	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// CSIDrivers is all that the server knows about CSIDrivers.
func CSIDrivers() *resource.Kind {
	return resource.Define(resource.Definition[*storagev1.CSIDriver]{
		Group: "storage.k8s.io", Version: "v1", Kind: "CSIDriver", Plural: "csidrivers",
		Scope:    resource.Cluster,
		Validate: validateCSIDriver, ValidateUpdate: validateCSIDriverUpdate,
		RequireVersion: true,
		Default:        defaultCSIDriver,
		PrepareCreate: func(_ *resource.Request, driver *storagev1.CSIDriver) {
			driver.Spec.PreventPodSchedulingIfMissing = nil
		},
		PrepareUpdate: prepareCSIDriverUpdate,
		Warn:          warnCSIDriver,
		Columns:       csiDriverColumns(),
	})
}

// prepareCSIDriverUpdate counts changes of the spec. Unlike other kinds' the count does not begin at creation. A field that
// no feature reads yet is kept only where it is stored.
func prepareCSIDriverUpdate(_ *resource.Request, driver, old *storagev1.CSIDriver) {
	if old.Spec.PreventPodSchedulingIfMissing == nil {
		driver.Spec.PreventPodSchedulingIfMissing = nil
	}
	if !apiequality.Semantic.DeepEqual(driver.Spec, old.Spec) {
		driver.Generation = old.Generation + 1
	}
}

// warnCSIDriver reminds of where a Pod's tokens are handed to the driver, when it begins to ask for them.
func warnCSIDriver(_ *resource.Request, driver, old *storagev1.CSIDriver) []string {
	spec := &driver.Spec
	if len(spec.TokenRequests) == 0 || spec.ServiceAccountTokenInSecrets != nil ||
		old != nil && apiequality.Semantic.DeepEqual(spec.TokenRequests, old.Spec.TokenRequests) {
		return nil
	}
	return []string{"spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"}
}

func defaultCSIDriver(driver *storagev1.CSIDriver) {
	spec := &driver.Spec
	setIfNil(&spec.AttachRequired, true)
	setIfNil(&spec.PodInfoOnMount, false)
	setIfNil(&spec.StorageCapacity, false)
	setIfNil(&spec.FSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
	if len(spec.VolumeLifecycleModes) == 0 {
		spec.VolumeLifecycleModes = append(spec.VolumeLifecycleModes, storagev1.VolumeLifecyclePersistent)
	}
	setIfNil(&spec.RequiresRepublish, false)
	setIfNil(&spec.SELinuxMount, false)
}

func csiDriverColumns() []resource.Column[*storagev1.CSIDriver] {
	doc := storagev1.CSIDriverSpec{}.SwaggerDoc()
	truth := func(name, field string, of func(*storagev1.CSIDriverSpec) *bool) resource.Column[*storagev1.CSIDriver] {
		return resource.Truth(name, doc[field], func(d *storagev1.CSIDriver) bool { return ptr.Deref(of(&d.Spec), false) })
	}
	return []resource.Column[*storagev1.CSIDriver]{
		resource.Name[*storagev1.CSIDriver](),
		resource.Truth("AttachRequired", doc["attachRequired"], func(d *storagev1.CSIDriver) bool { return ptr.Deref(d.Spec.AttachRequired, true) }),
		truth("PodInfoOnMount", "podInfoOnMount", func(s *storagev1.CSIDriverSpec) *bool { return s.PodInfoOnMount }),
		truth("StorageCapacity", "storageCapacity", func(s *storagev1.CSIDriverSpec) *bool { return s.StorageCapacity }),
		resource.Text("TokenRequests", doc["tokenRequests"], tokenAudiences),
		truth("RequiresRepublish", "requiresRepublish", func(s *storagev1.CSIDriverSpec) *bool { return s.RequiresRepublish }),
		resource.Text("Modes", doc["volumeLifecycleModes"], lifecycleModes),
		resource.Age[*storagev1.CSIDriver](),
	}
}

func tokenAudiences(driver *storagev1.CSIDriver) string {
	if driver.Spec.TokenRequests == nil {
		return "<unset>"
	}
	audiences := make([]string, len(driver.Spec.TokenRequests))
	for i, token := range driver.Spec.TokenRequests {
		audiences[i] = token.Audience
	}
	return strings.Join(audiences, ",")
}

func lifecycleModes(driver *storagev1.CSIDriver) string {
	modes := make([]string, len(driver.Spec.VolumeLifecycleModes))
	for i, mode := range driver.Spec.VolumeLifecycleModes {
		modes[i] = string(mode)
	}
	if len(modes) == 0 {
		return "<none>"
	}
	return strings.Join(modes, ",")
}
