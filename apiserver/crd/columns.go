package crd

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/jsonpath"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/resource"
)

type column = resource.Column[*unstructured.Unstructured]

// ageColumn is what a version shows besides names if it says nothing.
var ageColumn = apiextensionsv1.CustomResourceColumnDefinition{
	Name: "Age", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"], JSONPath: ".metadata.creationTimestamp",
}

// columns are those that a version's objects are printed in. One with a path that cannot be read ends the list.
func columns(name string, v *apiextensionsv1.CustomResourceDefinitionVersion) []column {
	wanted := v.AdditionalPrinterColumns
	if len(wanted) == 0 {
		wanted = []apiextensionsv1.CustomResourceColumnDefinition{ageColumn}
	}
	shown := []column{resource.Name[*unstructured.Unstructured]()}
	for i := range wanted {
		path, err := newPath(wanted[i].JSONPath)
		if err != nil {
			klog.InfoS("A printer column cannot be read", "definition", name, "version", v.Name, "jsonPath", wanted[i].JSONPath, "err", err)
			return shown
		}
		c := column{
			Name: wanted[i].Name, Type: wanted[i].Type, Format: wanted[i].Format, Priority: wanted[i].Priority, Description: wanted[i].Description,
			Value: func(obj *unstructured.Unstructured) any { return path.cell(obj.Object, wanted[i].Type) },
		}
		if c.Description == "" {
			c.Description = "Custom resource definition column (in JSONPath format): " + wanted[i].JSONPath
		}
		shown = append(shown, c)
	}
	return shown
}

// path finds a value in an object. Parsed paths hold state while they search, so there is one for each that searches.
type path struct{ parsed sync.Pool }

func newPath(text string) (*path, error) {
	parse := func() (*jsonpath.JSONPath, error) {
		p := jsonpath.New("path").AllowMissingKeys(true)
		return p, p.Parse("{" + text + "}")
	}
	first, err := parse()
	if err != nil {
		return nil, err
	}
	p := &path{}
	p.parsed.New = func() any {
		next, err := parse()
		if err != nil {
			panic("crd: a path that could be read cannot be read again: " + err.Error())
		}
		return next
	}
	p.parsed.Put(first)
	return p, nil
}

// find returns the first value at the path, false if there is none.
func (p *path) find(object map[string]any) (any, bool) {
	search := p.parsed.Get().(*jsonpath.JSONPath)
	defer p.parsed.Put(search)
	results, err := search.FindResults(object)
	if err != nil || len(results) == 0 || len(results[0]) == 0 || !results[0][0].IsValid() {
		return nil, false
	}
	return results[0][0].Interface(), true
}

// cell is the value at the path as a table of that column type shows it; nil if it cannot.
func (p *path) cell(object map[string]any, columnType string) any {
	value, found := p.find(object)
	if !found {
		return nil
	}
	if columnType == "string" {
		return p.text(value)
	}
	return cell(columnType, value)
}

// text prints a value as kubectl's JSONPath does: strings as they are, objects and lists as JSON.
func (p *path) text(value any) any {
	if s, ok := value.(string); ok {
		return s
	}
	search := p.parsed.Get().(*jsonpath.JSONPath)
	defer p.parsed.Put(search)
	var b bytes.Buffer
	if err := search.PrintResults(&b, []reflect.Value{reflect.ValueOf(value)}); err != nil {
		return nil
	}
	return b.String()
}

// cell converts between the types of numbers and shows dates as ages.
func cell(columnType string, value any) any {
	switch typed := value.(type) {
	case int64:
		switch columnType {
		case "integer":
			return typed
		case "number":
			return float64(typed)
		}
	case float64:
		switch columnType {
		case "integer":
			return int64(typed)
		case "number":
			return typed
		}
	case bool:
		if columnType == "boolean" {
			return typed
		}
	case string:
		if columnType == "date" {
			var t metav1.Time
			if err := t.UnmarshalQueryParameter(typed); err != nil {
				return "<invalid>"
			}
			return resource.Since(t)
		}
	}
	return nil
}

// selectable are the fields of a version that selectors may name, besides those of metadata.
func selectable(fields []apiextensionsv1.SelectableField) []resource.Field[*unstructured.Unstructured] {
	var known []resource.Field[*unstructured.Unstructured]
	for i := range fields {
		name := fieldName(fields[i].JSONPath)
		path, err := newPath(fields[i].JSONPath)
		known = append(known, resource.Field[*unstructured.Unstructured]{Name: name, Value: func(obj *unstructured.Unstructured) string {
			if err != nil {
				return ""
			}
			if value, found := path.find(obj.Object); found && value != nil {
				return fmt.Sprint(value)
			}
			return ""
		}})
	}
	return known
}

// fieldName is how selectors name a selectable field.
func fieldName(jsonPath string) string {
	if len(jsonPath) > 0 && jsonPath[0] == '.' {
		return jsonPath[1:]
	}
	return jsonPath
}

// allFields are the selectable fields of all versions: what objects can be selected by as they are stored.
func allFields(crd *apiextensionsv1.CustomResourceDefinition) []resource.Field[*unstructured.Unstructured] {
	var all []resource.Field[*unstructured.Unstructured]
	seen := map[string]bool{}
	for i := range crd.Spec.Versions {
		for _, f := range selectable(crd.Spec.Versions[i].SelectableFields) {
			if !seen[f.Name] {
				seen[f.Name] = true
				all = append(all, f)
			}
		}
	}
	return all
}
