package apiextensions

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Part is something that each version of a definition has. Before there were several versions, a definition had it but once, and
// upstream still thinks so where all versions are alike: errors then have the place that it had.
type Part struct {
	// name is below a version, alone below spec.
	name, alone string
	of          func(*apiextensionsv1.CustomResourceDefinitionVersion) any
}

// The parts of a version.
var (
	Schema       = &Part{"schema", "validation", func(v *apiextensionsv1.CustomResourceDefinitionVersion) any { return v.Schema }}
	Subresources = &Part{"subresources", "subresources", func(v *apiextensionsv1.CustomResourceDefinitionVersion) any { return v.Subresources }}
	Columns      = &Part{"additionalPrinterColumns", "additionalPrinterColumns", func(v *apiextensionsv1.CustomResourceDefinitionVersion) any {
		return v.AdditionalPrinterColumns
	}}
	SelectableFields = &Part{"selectableFields", "selectableFields", func(v *apiextensionsv1.CustomResourceDefinitionVersion) any { return v.SelectableFields }}
)

// At is where errors about the part of version i are told; nil if it is the same as the first version's, of which they are told
// already.
func (p *Part) At(s *apiextensionsv1.CustomResourceDefinitionSpec, i int) *field.Path {
	first := p.of(&s.Versions[0])
	for v := range s.Versions {
		if !equality.Semantic.DeepEqual(p.of(&s.Versions[v]), first) {
			return specPath.Child("versions").Index(i).Child(p.name)
		}
	}
	if i > 0 {
		return nil
	}
	return specPath.Child(p.alone)
}
