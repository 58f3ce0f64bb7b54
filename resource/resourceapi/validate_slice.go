package resourceapi

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateSlice(_ *resource.Request, s *resourcev1.ResourceSlice) field.ErrorList {
	return sliceSpec(&s.Spec, nil)
}

// validateSliceUpdate: a slice stays with its driver, its pool and its node.
func validateSliceUpdate(_ *resource.Request, s, old *resourcev1.ResourceSlice) field.ErrorList {
	errs := sliceSpec(&s.Spec, &old.Spec)
	errs = append(errs, core.Immutable(s.Spec.Pool.Name, old.Spec.Pool.Name, specPath.Child("pool", "name"))...)
	errs = append(errs, core.Immutable(s.Spec.Driver, old.Spec.Driver, specPath.Child("driver"))...)
	return append(errs, core.Immutable(s.Spec.NodeName, old.Spec.NodeName, specPath.Child("nodeName"))...)
}

// sliceSpec checks a slice; old is nil for a new one.
func sliceSpec(spec, old *resourcev1.ResourceSliceSpec) field.ErrorList {
	errs := core.CSIDriverName(spec.Driver, specPath.Child("driver"))
	errs = append(errs, pool(&spec.Pool, specPath.Child("pool"))...)
	errs = append(errs, sliceNodes(spec)...)
	if spec.SharedCounters != nil && spec.Devices != nil {
		errs = append(errs, field.Invalid(specPath, "", "only one of `sharedCounters` or `devices` is allowed"))
	}
	most := resourcev1.ResourceSliceMaxDevices
	for i := range spec.Devices {
		if len(spec.Devices[i].Taints)+len(spec.Devices[i].ConsumesCounters) > 0 {
			most = resourcev1.ResourceSliceMaxDevicesWithAdvancedFeatures
		}
	}
	before := map[string]*resourcev1.Device{}
	if old != nil {
		for i := range old.Devices {
			before[old.Devices[i].Name] = &old.Devices[i]
		}
	}
	at := specPath.Child("devices")
	errs = append(errs, each(spec.Devices, most, at, func(d *resourcev1.Device, at *field.Path) field.ErrorList {
		return device(d, before[d.Name], ptr.Deref(spec.PerDeviceNodeSelection, false), at)
	})...)
	if len(spec.Devices) <= most {
		errs = append(errs, unique(spec.Devices, at, func(d *resourcev1.Device) string { return d.Name })...)
	}
	at = specPath.Child("sharedCounters")
	errs = append(errs, each(spec.SharedCounters, resourcev1.ResourceSliceMaxCounterSets, at, func(s *resourcev1.CounterSet, at *field.Path) field.ErrorList {
		return append(name(s.Name, at.Child("name")), counters(s.Counters, resourcev1.ResourceSliceMaxCountersPerCounterSet, at.Child("counters"))...)
	})...)
	return append(errs, unique(spec.SharedCounters, at, func(s *resourcev1.CounterSet) string { return s.Name })...)
}

func pool(p *resourcev1.ResourcePool, at *field.Path) field.ErrorList {
	errs := poolName(p.Name, at.Child("name"))
	if p.ResourceSliceCount <= 0 {
		errs = append(errs, field.Invalid(at.Child("resourceSliceCount"), p.ResourceSliceCount, "must be greater than zero"))
	}
	if p.Generation < 0 {
		errs = append(errs, field.Invalid(at.Child("generation"), p.Generation, "must be greater than or equal to zero"))
	}
	return errs
}

// poolName: one or more DNS subdomains with slashes between them.
func poolName(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	var errs field.ErrorList
	if len(name) > resourcev1.PoolNameMaxLength {
		errs = append(errs, field.TooLong(at, "", resourcev1.PoolNameMaxLength))
	}
	for _, part := range strings.Split(name, "/") {
		errs = append(errs, core.DNSSubdomain(part, at)...)
	}
	return errs
}

// sliceNodes checks where a slice's devices are: at exactly one of four sorts of places.
func sliceNodes(spec *resourcev1.ResourceSliceSpec) field.ErrorList {
	set, errs := places(spec.NodeName, spec.NodeSelector, spec.AllNodes, "must be either unset or set to a non-empty string", specPath)
	if s := spec.NodeSelector; s != nil && len(s.NodeSelectorTerms) != 1 {
		errs = append(errs, field.Invalid(specPath.Child("nodeSelector", "nodeSelectorTerms"), s.NodeSelectorTerms, "must have exactly one node selector term"))
	}
	if per := spec.PerDeviceNodeSelection; per != nil && !*per {
		errs = append(errs, field.Invalid(specPath.Child("perDeviceNodeSelection"), *per, mustBeTrue))
	} else if per != nil {
		set = append(set, "`perDeviceNodeSelection`")
	}
	const one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
	switch len(set) {
	case 0:
		errs = append(errs, field.Required(specPath, one))
	case 1:
	default:
		errs = append(errs, field.Invalid(specPath, fmt.Sprintf("{%s}", strings.Join(set, ", ")), one+", but multiple fields are set"))
	}
	return errs
}

const mustBeTrue = "must be either unset or set to true"

// places checks the three ways to say where devices are, and names those that are used.
func places(node *string, selector *corev1.NodeSelector, all *bool, empty string, path *field.Path) (set []string, errs field.ErrorList) {
	if node != nil && *node == "" {
		errs = append(errs, field.Invalid(path.Child("nodeName"), *node, empty))
	} else if node != nil {
		set = append(set, "`nodeName`")
		errs = append(errs, core.DNSSubdomain(*node, path.Child("nodeName"))...)
	}
	if selector != nil {
		set = append(set, "`nodeSelector`")
		errs = append(errs, core.NodeSelector(selector, path.Child("nodeSelector"))...)
	}
	if all != nil && !*all {
		errs = append(errs, field.Invalid(path.Child("allNodes"), *all, mustBeTrue))
	} else if all != nil {
		set = append(set, "`allNodes`")
	}
	return set, errs
}

// counters checks the names of what devices of a slice share, and how many there are.
func counters(m map[string]resourcev1.Counter, most int, at *field.Path) field.ErrorList {
	switch {
	case len(m) == 0:
		return field.ErrorList{field.Required(at, "")}
	case len(m) > most:
		return field.ErrorList{field.TooMany(at, len(m), most)}
	}
	var errs field.ErrorList
	for key := range m {
		errs = append(errs, core.DNSLabel(key, at)...)
	}
	return errs
}

func name(value string, at *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return core.DNSLabel(value, at)
}

// taints are checked only where they have changed: those of others are theirs to mend.
func taints(now []resourcev1.DeviceTaint, old *resourcev1.Device, path *field.Path) field.ErrorList {
	if old != nil && apiequality.Semantic.DeepEqual(now, old.Taints) {
		return nil
	}
	return each(now, resourcev1.DeviceTaintsMaxLength, path, taint)
}
