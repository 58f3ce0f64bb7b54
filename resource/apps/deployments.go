package apps

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/septet-io/septet/resource"
)

// Deployments is all that the server knows about Deployments.
func Deployments() *resource.Kind {
	return resource.Define(resource.Definition[*appsv1.Deployment]{
		Group: "apps", Version: "v1", Kind: "Deployment", Plural: "deployments",
		Short: []string{"deploy"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation: true,
		Views:      []resource.View[*appsv1.Deployment]{{Name: "status", Validate: validateDeploymentStatus, Prepare: func(_ *resource.Request, obj, old *appsv1.Deployment) { obj.Spec, obj.Labels = old.Spec, old.Labels }}},
		Scale:      scaleDeployments(),
		Default:    defaultDeployment,
		Columns:    deploymentColumns(),
		PrepareUpdate: func(_ *resource.Request, d, old *appsv1.Deployment) {
			// The controller copies annotations to replica sets: it has something to observe when they change.
			if !maps.Equal(d.Annotations, old.Annotations) {
				d.Generation = old.Generation + 1
			}
		},
		Validate: validateDeployment, ValidateUpdate: validateDeploymentUpdate, Warn: warnDeployment,
	})
}
