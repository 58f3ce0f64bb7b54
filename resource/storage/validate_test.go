package storage

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		path, rest, _ := strings.Cut(err.Error(), ": Invalid value: {")
		if _, detail, ok := strings.Cut(rest, "}: "); ok {
			path += ": " + detail // the whole object, which is shown, is not the point
		}
		got = append(got, path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestStorageClasses(t *testing.T) {
	t.Parallel()
	class := &storagev1.StorageClass{Provisioner: "disks.Example.com", Parameters: map[string]string{"type": "fast"}}
	defaultStorageClass(class)
	expect(t, validateStorageClass(nil, class))
	wrong := class.DeepCopy()
	wrong.Provisioner = ""
	wrong.ReclaimPolicy, wrong.VolumeBindingMode = ptr.To(corev1.PersistentVolumeReclaimRecycle), nil
	wrong.Parameters = map[string]string{"": "x"}
	zone := corev1.TopologySelectorTerm{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: "zone", Values: []string{"a", "a"}}}}
	wrong.AllowedTopologies = []corev1.TopologySelectorTerm{zone, {MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: "zone"}}}}
	expect(t, validateStorageClass(nil, wrong),
		"provisioner: Required value",
		`parameters: Invalid value: "": field can not be empty.`,
		`reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"`,
		"volumeBindingMode: Required value",
		`allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"`,
		"allowedTopologies[1].matchLabelExpressions[0].values: Required value")
	anywhere := class.DeepCopy()
	anywhere.AllowedTopologies = make([]corev1.TopologySelectorTerm, 1)
	expect(t, validateStorageClass(nil, anywhere), `allowedTopologies[0].matchLabelExpressions: Duplicate value: ""`)
	changed := class.DeepCopy()
	changed.Provisioner, changed.Parameters = "other.example.com", nil
	changed.ReclaimPolicy = ptr.To(corev1.PersistentVolumeReclaimRetain)
	changed.VolumeBindingMode = ptr.To(storagev1.VolumeBindingWaitForFirstConsumer)
	changed.AllowedTopologies = []corev1.TopologySelectorTerm{zone}
	expect(t, validateStorageClassUpdate(nil, changed, class),
		`allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"`,
		"parameters: Invalid value: null: field is immutable",
		`provisioner: Invalid value: "other.example.com": field is immutable`,
		`reclaimPolicy: Invalid value: "Retain": field is immutable`,
		`volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable`)
	expect(t, validateAttributesClass(nil, &storagev1.VolumeAttributesClass{DriverName: "x"}), "parameters: Required value: must contain at least one key/value pair")
	expect(t, validateAttributesClassUpdate(nil, &storagev1.VolumeAttributesClass{DriverName: "x"}, &storagev1.VolumeAttributesClass{}),
		"driverName: Forbidden: updates to driverName are forbidden.", "parameters: Required value: must contain at least one key/value pair")
}

// A CSIDriver's generation counts changes only, so it begins at nothing, and a new request for tokens is warned of.
func TestCSIDriverUpdates(t *testing.T) {
	t.Parallel()
	kind := CSIDrivers()
	driver := &storagev1.CSIDriver{Spec: storagev1.CSIDriverSpec{PreventPodSchedulingIfMissing: ptr.To(true)}}
	kind.PrepareCreate(nil, driver)
	if driver.Generation != 0 || driver.Spec.PreventPodSchedulingIfMissing != nil {
		t.Errorf("created as %+v", driver)
	}
	next := driver.DeepCopy()
	next.Spec.TokenRequests = []storagev1.TokenRequest{{Audience: "a"}}
	kind.PrepareUpdate(nil, next, driver)
	if next.Generation != 1 {
		t.Errorf("generation %d after the first change", next.Generation)
	}
	if len(kind.Warn(nil, next, nil)) != 1 || len(kind.Warn(nil, next, driver)) != 1 {
		t.Error("no warning about tokens in volume attributes")
	}
	if warnings := kind.Warn(nil, next, next); len(warnings) != 0 {
		t.Errorf("warned of what was so before: %q", warnings)
	}
}

func TestCSIDrivers(t *testing.T) {
	t.Parallel()
	driver := &storagev1.CSIDriver{}
	driver.Name = "disks.example.com"
	defaultCSIDriver(driver)
	expect(t, validateCSIDriver(nil, driver))
	changed := driver.DeepCopy()
	changed.Spec.AttachRequired = ptr.To(false)
	changed.Spec.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{"Forever"}
	changed.Spec.TokenRequests = []storagev1.TokenRequest{{Audience: "a"}, {Audience: "a", ExpirationSeconds: ptr.To[int64](5)}}
	expect(t, validateCSIDriverUpdate(nil, changed, driver),
		`spec.tokenRequests[1].audience: Duplicate value: "a"`,
		"spec.tokenRequests[1].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
		`spec.volumeLifecycleModes: Unsupported value: "Forever": supported values: "Persistent", "Ephemeral"`,
		"spec.attachedRequired: Invalid value: false: field is immutable",
		`spec.volumeLifecycleModes: Invalid value: ["Forever"]: field is immutable`)
}

func TestCSINodes(t *testing.T) {
	t.Parallel()
	node := func(drivers ...storagev1.CSINodeDriver) *storagev1.CSINode {
		return &storagev1.CSINode{Spec: storagev1.CSINodeSpec{Drivers: drivers}}
	}
	good := storagev1.CSINodeDriver{Name: "a", NodeID: "n", TopologyKeys: []string{"zone"}}
	counted, other := good, good
	counted.Allocatable = &storagev1.VolumeNodeResources{Count: ptr.To[int32](3)}
	other.NodeID = "m"
	expect(t, validateCSINodeUpdate(nil, node(counted), node(good)))
	expect(t, validateCSINodeUpdate(nil, node(other), node(good)), "spec.drivers: field is immutable")
	expect(t, validateCSINode(nil, node(good, storagev1.CSINodeDriver{Name: "a", TopologyKeys: []string{"z", "z"}})),
		"spec.drivers[1].nodeID: Required value",
		`spec.drivers[1]: Duplicate value: "z"`,
		`spec.drivers[1].name: Duplicate value: "a"`)
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	a := &storagev1.VolumeAttachment{Spec: storagev1.VolumeAttachmentSpec{Attacher: "a", NodeName: "n"}}
	a.Spec.Source.PersistentVolumeName = ptr.To("pv")
	expect(t, validateAttachment(nil, a))
	moved := a.DeepCopy()
	moved.Spec.Source = storagev1.VolumeAttachmentSource{}
	expect(t, validateAttachmentUpdate(nil, moved, a),
		"spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
		"spec: field is immutable")
}

func TestCapacities(t *testing.T) {
	t.Parallel()
	c := &storagev1.CSIStorageCapacity{StorageClassName: "fast", Capacity: ptr.To(apiresource.MustParse("-1Gi"))}
	expect(t, validateCapacityUpdate(nil, c, &storagev1.CSIStorageCapacity{StorageClassName: "slow"}),
		`capacity: Invalid value: "-1Gi": must be greater than or equal to 0`,
		`storageClassName: Invalid value: "fast": field is immutable`)
}
