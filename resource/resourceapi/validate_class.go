package resourceapi

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateClass(_ *resource.Request, c *resourcev1.DeviceClass) field.ErrorList {
	return class(c, nil)
}

// class checks a DeviceClass; before are selectors that it had before.
func class(c *resourcev1.DeviceClass, before []string) field.ErrorList {
	errs := selectors(c.Spec.Selectors, before, specPath.Child("selectors"))
	errs = append(errs, each(c.Spec.Config, resourcev1.DeviceConfigMaxSize, specPath.Child("config"),
		func(c *resourcev1.DeviceClassConfiguration, at *field.Path) field.ErrorList {
			return configuration(&c.DeviceConfiguration, at)
		})...)
	if name := c.Spec.ExtendedResourceName; name != nil && !core.ExtendedResource(corev1.ResourceName(*name)) {
		errs = append(errs, field.Invalid(specPath.Child("extendedResourceName"), *name, "must be a valid extended resource name"))
	}
	return errs
}

func validateClassUpdate(_ *resource.Request, c, old *resourcev1.DeviceClass) field.ErrorList {
	var before []string
	for _, s := range old.Spec.Selectors {
		if s.CEL != nil {
			before = append(before, s.CEL.Expression)
		}
	}
	return class(c, before)
}

// configuration checks what is handed to a driver as it is.
func configuration(c *resourcev1.DeviceConfiguration, path *field.Path) field.ErrorList {
	at := path.Child("opaque")
	if c.Opaque == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := core.CSIDriverName(c.Opaque.Driver, at.Child("driver"))
	return append(errs, object(&c.Opaque.Parameters, resourcev1.OpaqueParametersMaxLength, at.Child("parameters"))...)
}

// object demands a JSON object of bounded size.
func object(raw *runtime.RawExtension, most int, at *field.Path) field.ErrorList {
	const omitted = "<value omitted>" // it may hold what is nobody's business
	var v any
	switch {
	case len(raw.Raw) == 0:
		return field.ErrorList{field.Required(at, "")}
	case len(raw.Raw) > most:
		return field.ErrorList{field.TooLong(at, "", most)}
	}
	if err := json.Unmarshal(raw.Raw, &v); err != nil {
		return field.ErrorList{field.Invalid(at, omitted, fmt.Sprintf("error parsing data as JSON: %v", err))}
	}
	if v == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	if _, ok := v.(map[string]any); !ok {
		return field.ErrorList{field.Invalid(at, omitted, "must be a valid JSON object")}
	}
	return nil
}

// qualified checks the name of an attribute or capacity: an identifier, with or without a domain.
func qualified(name string, at *field.Path) field.ErrorList {
	parts := strings.Split(name, "/")
	switch len(parts) {
	case 1:
		return identifier(name, at)
	case 2:
		var errs field.ErrorList
		if parts[0] == "" {
			errs = append(errs, field.Invalid(at, "", "the domain must not be empty"))
		} else {
			errs = append(errs, core.CSIDriverName(parts[0], at)...)
		}
		if parts[1] == "" {
			return append(errs, field.Invalid(at, "", "the name must not be empty"))
		}
		return append(errs, identifier(parts[1], at)...)
	}
	return nil // as upstream, which lets more slashes pass
}

// fullName is qualified with a domain.
func fullName(name string, at *field.Path) field.ErrorList {
	errs := qualified(name, at)
	if !strings.Contains(name, "/") {
		errs = append(errs, field.Invalid(at, name, "a fully qualified name must be a domain and a name separated by a slash"))
	}
	return errs
}

func identifier(id string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(id) > resourcev1.DeviceMaxIDLength {
		errs = append(errs, field.TooLong(at, "", resourcev1.DeviceMaxIDLength))
	}
	return append(errs, core.InvalidEach(at, id, content.IsCIdentifier(id))...)
}
