package main

import "strings"

// metadataMutations are changes of the metadata of any object.
func metadataMutations() []mutation {
	var out []mutation
	for _, it := range []struct {
		field string
		value any
	}{
		{"name", "Bad_Name"}, {"name", strings.Repeat("n", 254)}, {"name", strings.Repeat("n", 64)}, {"name", ""}, {"name", "a.b"}, {"name", "a:b"}, {"name", "a/b"},
		{"name", "1"}, {"name", ".."}, {"generateName", "Bad_"}, {"generateName", "fine-"},
		{"namespace", "elsewhere"}, {"namespace", ""}, {"uid", "00000000-0000-0000-0000-000000000000"}, {"uid", ""}, {"resourceVersion", "1"}, {"resourceVersion", "x"}, {"resourceVersion", ""},
		{"generation", int64(7)}, {"generation", int64(-1)}, {"selfLink", "/x"}, {"creationTimestamp", "2020-01-01T00:00:00Z"}, {"deletionTimestamp", "2020-01-01T00:00:00Z"},
		{"deletionGracePeriodSeconds", int64(5)}, {"deletionGracePeriodSeconds", int64(-5)},
		{"labels", map[string]any{"bad key": "x"}}, {"labels", map[string]any{"key": "bad value"}}, {"labels", map[string]any{"a": "b", "c": "d"}},
		{"labels", map[string]any{"key": strings.Repeat("v", 64)}}, {"labels", map[string]any{"a/b/c": "d"}}, {"labels", nil},
		{"annotations", map[string]any{"bad key": "x"}}, {"annotations", map[string]any{"UPPER/Key": "x"}}, {"annotations", map[string]any{"a": strings.Repeat("v", 300000)}},
		{"annotations", map[string]any{"kubectl.kubernetes.io/last-applied-configuration": "{}"}}, {"annotations", nil},
		{"finalizers", []any{"nodomain"}}, {"finalizers", []any{"example.com/one", "example.com/one"}}, {"finalizers", []any{"bad name/x"}}, {"finalizers", []any{"foregroundDeletion", "orphan"}},
		{"ownerReferences", []any{map[string]any{}}},
		{"ownerReferences", []any{map[string]any{"apiVersion": "v1", "kind": "Event", "name": "x", "uid": "1"}}},
		{"ownerReferences", []any{map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1", "controller": true}, map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "y", "uid": "2", "controller": true}}},
		{"ownerReferences", []any{map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1"}, map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1"}}},
		{"ownerReferences", []any{map[string]any{"apiVersion": "a/b/c", "kind": "Pod", "name": "x", "uid": "1"}}},
		{"managedFields", []any{}}, {"managedFields", []any{map[string]any{}}}, {"managedFields", []any{map[string]any{"operation": "Bogus", "manager": "m"}}},
		{"managedFields", []any{map[string]any{"operation": "Update", "manager": strings.Repeat("m", 129), "apiVersion": "v1", "fieldsType": "FieldsV1"}}},
		{"managedFields", []any{map[string]any{"operation": "Update", "manager": "m", "apiVersion": "v1", "fieldsType": "Other"}}},
		{"unknown", "x"},
	} {
		out = append(out, mutation{
			name: "metadata." + it.field + " " + short(it.value),
			apply: func(root map[string]any) {
				meta, _ := root["metadata"].(map[string]any)
				if it.field == "generateName" {
					delete(meta, "name")
				}
				meta[it.field] = copyOf(it.value)
			},
		})
	}
	return append(out,
		mutation{"kind wrong", func(root map[string]any) { root["kind"] = "Wrong" }},
		mutation{"kind absent", func(root map[string]any) { delete(root, "kind") }},
		mutation{"apiVersion wrong", func(root map[string]any) { root["apiVersion"] = "wrong/v7" }},
		mutation{"apiVersion absent", func(root map[string]any) { delete(root, "apiVersion") }},
		mutation{"metadata absent", func(root map[string]any) { delete(root, "metadata") }},
		mutation{"unknown field", func(root map[string]any) { root["unknownField"] = "x" }},
	)
}
