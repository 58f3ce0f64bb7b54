package crd

import "time"

// Most objects have metadata that is just as the server would write it. To see that is much cheaper than to turn it into a Go struct
// and back, which is what is done with the rest.

// shape is what JSON value a field of metadata has.
type shape func(value any) bool

// metadataShapes are the fields of metadata.
var metadataShapes = map[string]shape{
	"name": isText, "generateName": isText, "namespace": isText, "uid": isText, "resourceVersion": isText,
	"creationTimestamp": isTime, "deletionTimestamp": isTime, "generation": isPositive, "deletionGracePeriodSeconds": isWhole,
	"labels": eachOf(isString), "annotations": eachOf(isString), "finalizers": listOf(isString),
	"ownerReferences": listOf(objectOf(map[string]shape{
		"apiVersion": isString, "kind": isString, "name": isString, "uid": isString, "controller": isTruth, "blockOwnerDeletion": isTruth,
	}, "apiVersion", "kind", "name", "uid")),
	"managedFields": listOf(objectOf(map[string]shape{
		"manager": isText, "operation": isText, "apiVersion": isText, "time": isTime, "fieldsType": isText, "subresource": isText,
		"fieldsV1": isObject,
	})),
}

// wellFormed says that metadata would come out the same if it were read and written.
func wellFormed(metadata map[string]any) bool { return fits(metadata, metadataShapes) }

func fits(object map[string]any, shapes map[string]shape) bool {
	for name, value := range object {
		if of := shapes[name]; of == nil || !of(value) {
			return false
		}
	}
	return true
}

// isText is a string that is left out when it is empty.
func isText(value any) bool {
	s, ok := value.(string)
	return ok && s != ""
}

func isString(value any) bool { _, ok := value.(string); return ok }

func isTruth(value any) bool { _, ok := value.(bool); return ok }

func isWhole(value any) bool { _, ok := value.(int64); return ok }

func isPositive(value any) bool {
	n, ok := value.(int64)
	return ok && n > 0
}

func isObject(value any) bool { _, ok := value.(map[string]any); return ok }

// isTime is a time as the server writes it: in UTC and whole seconds.
func isTime(value any) bool {
	s, ok := value.(string)
	if !ok || len(s) != len("2006-01-02T15:04:05Z") || s[len(s)-1] != 'Z' {
		return false
	}
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}

func eachOf(of shape) shape {
	return func(value any) bool {
		object, ok := value.(map[string]any)
		if !ok || len(object) == 0 {
			return false
		}
		for _, entry := range object {
			if !of(entry) {
				return false
			}
		}
		return true
	}
}

func listOf(of shape) shape {
	return func(value any) bool {
		list, ok := value.([]any)
		if !ok || len(list) == 0 {
			return false
		}
		for _, entry := range list {
			if !of(entry) {
				return false
			}
		}
		return true
	}
}

func objectOf(shapes map[string]shape, needed ...string) shape {
	return func(value any) bool {
		object, ok := value.(map[string]any)
		if !ok {
			return false
		}
		for _, name := range needed {
			if _, given := object[name]; !given {
				return false
			}
		}
		return fits(object, shapes)
	}
}
