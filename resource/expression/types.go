package expression

import apiservercel "k8s.io/apiserver/pkg/cel"

// The types of the variables "request" and "namespaceObject", as https://kubernetes.io/docs/reference/using-api/cel/ has them:
// AdmissionRequest without uid, object and oldObject, which are variables of their own.

func must(name string, t *apiservercel.DeclType) *apiservercel.DeclField {
	return apiservercel.NewDeclField(name, t, true, nil, nil)
}

func may(name string, t *apiservercel.DeclType) *apiservercel.DeclField {
	return apiservercel.NewDeclField(name, t, false, nil, nil)
}

func structure(name string, fields ...*apiservercel.DeclField) *apiservercel.DeclType {
	byName := make(map[string]*apiservercel.DeclField, len(fields))
	for _, f := range fields {
		byName[f.Name] = f
	}
	return apiservercel.NewObjectType(name, byName)
}

func listOf(t *apiservercel.DeclType) *apiservercel.DeclType { return apiservercel.NewListType(t, -1) }

func mapTo(t *apiservercel.DeclType) *apiservercel.DeclType {
	return apiservercel.NewMapType(apiservercel.StringType, t, -1)
}

func requestType() *apiservercel.DeclType {
	text := apiservercel.StringType
	kind := structure("kubernetes.GroupVersionKind", must("group", text), must("version", text), must("kind", text))
	resource := structure("kubernetes.GroupVersionResource", must("group", text), must("version", text), must("resource", text))
	user := structure("kubernetes.UserInfo", may("username", text), may("uid", text), may("groups", listOf(text)), may("extra", mapTo(listOf(text))))
	return structure("kubernetes.AdmissionRequest",
		must("kind", kind), must("resource", resource), may("subResource", text),
		must("requestKind", kind), must("requestResource", resource), may("requestSubResource", text),
		must("name", text), may("namespace", text), must("operation", text), must("userInfo", user),
		may("dryRun", apiservercel.BoolType), may("options", apiservercel.DynType))
}

// namespaceType leaves out what no rule should look at: owners and managed fields.
func namespaceType() *apiservercel.DeclType {
	text, when, number := apiservercel.StringType, apiservercel.TimestampType, apiservercel.IntType
	metadata := structure("kubernetes.NamespaceMetadata",
		must("name", text), must("generateName", text), must("namespace", text), must("labels", mapTo(text)), must("annotations", mapTo(text)),
		must("UID", text), must("creationTimestamp", when), must("deletionGracePeriodSeconds", number), must("deletionTimestamp", when),
		must("generation", number), must("resourceVersion", text), must("finalizers", listOf(text)))
	condition := structure("kubernetes.NamespaceCondition",
		must("status", text), must("type", text), must("lastTransitionTime", when), must("message", text), must("reason", text))
	return structure("kubernetes.Namespace",
		must("metadata", metadata),
		must("spec", structure("kubernetes.NamespaceSpec", must("finalizers", listOf(text)))),
		must("status", structure("kubernetes.NamespaceStatus", must("conditions", listOf(condition)), must("phase", text))))
}
