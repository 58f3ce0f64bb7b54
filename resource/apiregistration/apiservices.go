package apiregistration

import (
	"k8s.io/apimachinery/pkg/api/validation/path"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/septet-io/septet/resource"
)

// APIServices is all that the server knows about APIServices.
func APIServices() *resource.Kind {
	return resource.Define(resource.Definition[*apiregistrationv1.APIService]{
		Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService", Plural: "apiservices",
		Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		StorageKey:     "apiregistration.k8s.io/apiservices",
		RequireVersion: true,
		Views:          []resource.View[*apiregistrationv1.APIService]{{Name: "status"}},
		ValidateName:   path.ValidatePathSegmentName,
	})
}
