package apps

import (
	appsv1 "k8s.io/api/apps/v1"

	"github.com/septet-io/septet/resource"
)

// Deployments is all that the server knows about Deployments.
func Deployments() *resource.Kind {
	return resource.Define(resource.Definition[*appsv1.Deployment]{
		Group: "apps", Version: "v1", Kind: "Deployment", Plural: "deployments",
		Short: []string{"deploy"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation: true,
		Views:      []resource.View[*appsv1.Deployment]{{Name: "status"}},
		Scale:      scaleDeployments(),
		Default:    defaultDeployment,
	})
}
