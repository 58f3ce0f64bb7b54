package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// ComponentStatuses is all that the server knows about ComponentStatuses.
func ComponentStatuses() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.ComponentStatus]{
		Version: "v1", Kind: "ComponentStatus", Plural: "componentstatuses",
		Short: []string{"cs"}, Scope: resource.Cluster,
		Verbs:   []string{"get", "list"},
		Columns: componentStatusColumns(),
	})
}
