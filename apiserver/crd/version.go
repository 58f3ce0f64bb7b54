package crd

import (
	"errors"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
)

// version is the schema of one version of a definition. Its parts are made of the definition when they are first needed.
type version struct {
	gvk schema.GroupVersionKind
	// preserve says that nothing is dropped: definitions from before there were structural schemas.
	preserve bool
	// structure is nil where the schema is not structural, which only old definitions may have.
	structure func() *structuralschema.Structural
	values    func() *values
	shelf     *shelf
}

func (d *Definitions) newVersion(crd *apiextensionsv1.CustomResourceDefinition, v *apiextensionsv1.CustomResourceDefinitionVersion) *version {
	made := &version{
		gvk:      schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Status.AcceptedNames.Kind},
		preserve: crd.Spec.PreserveUnknownFields, shelf: d.compiled,
	}
	props := propsOf(v)
	made.structure = sync.OnceValue(func() *structuralschema.Structural {
		s, err := structure(props)
		if err == nil && !made.preserve {
			s = s.DeepCopy() // defaults are shared with the definition
			err = defaulting.PruneDefaults(s)
		}
		if err != nil {
			klog.ErrorS(err, "The schema of a CustomResourceDefinition is not used", "name", crd.Name, "version", v.Name)
			return nil
		}
		return s
	})
	made.values = sync.OnceValue(func() *values { return newValues(made.structure()) })
	return made
}

// propsOf is the schema of a version, nil if it has none.
func propsOf(v *apiextensionsv1.CustomResourceDefinitionVersion) *apiextensionsv1.JSONSchemaProps {
	if v.Schema == nil {
		return nil
	}
	return v.Schema.OpenAPIV3Schema
}

var errNoSchema = errors.New("there is no schema")

// structure reads a schema as a structural one.
func structure(props *apiextensionsv1.JSONSchemaProps) (*structuralschema.Structural, error) {
	if props == nil {
		return nil, errNoSchema
	}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil); err != nil {
		return nil, err
	}
	return structuralschema.NewStructural(&internal)
}

// fill sets the defaults of what an object leaves out.
func (v *version) fill(obj *unstructured.Unstructured) {
	if s := v.structure(); s != nil {
		defaulting.Default(obj.Object, s)
	}
}
