package batch

import (
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// Jobs is all that the server knows about Jobs.
func Jobs() *resource.Kind {
	return resource.Define(resource.Definition[*batchv1.Job]{
		Group: "batch", Version: "v1", Kind: "Job", Plural: "jobs",
		Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation:  true,
		Propagation: metav1.DeletePropagationOrphan,
		Views:       []resource.View[*batchv1.Job]{{Name: "status"}},
	})
}
