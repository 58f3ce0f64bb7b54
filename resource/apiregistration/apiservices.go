package apiregistration

import (
	"fmt"

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
		Default:        apiregistrationv1.SetObjectDefaults_APIService,
		ValidateName:   path.ValidatePathSegmentName,
		PrepareCreate:  func(_ *resource.Request, obj *apiregistrationv1.APIService) { prepareLocal(obj) },
		Validate:       validateAPIService, ValidateUpdate: validateAPIServiceUpdate,
		Views: []resource.View[*apiregistrationv1.APIService]{{
			Name: "status", Validate: validateAPIServiceStatus, Prepare: func(_ *resource.Request, obj, old *apiregistrationv1.APIService) {
				resource.KeepAllButStatus(obj, old)
				obj.Annotations = old.Annotations
			},
		}},
		Columns: []resource.Column[*apiregistrationv1.APIService]{
			resource.Name[*apiregistrationv1.APIService](),
			resource.Text("Service", "The reference to the service that hosts this API endpoint.", service),
			resource.Text("Available", "Whether this service is available.", available),
			resource.Age[*apiregistrationv1.APIService](),
		},
	})
}

// prepareLocal: what the server itself serves is available from the start.
func prepareLocal(obj *apiregistrationv1.APIService) {
	if obj.Spec.Service != nil {
		return
	}
	obj.Status.Conditions = []apiregistrationv1.APIServiceCondition{{
		Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue,
		Reason: "Local", Message: "Local APIServices are always available",
		LastTransitionTime: obj.CreationTimestamp,
	}}
}

func service(obj *apiregistrationv1.APIService) string {
	if obj.Spec.Service == nil {
		return "Local"
	}
	return obj.Spec.Service.Namespace + "/" + obj.Spec.Service.Name
}

func available(obj *apiregistrationv1.APIService) string {
	for _, c := range obj.Status.Conditions {
		if c.Type != apiregistrationv1.Available {
			continue
		}
		if c.Status == apiregistrationv1.ConditionTrue {
			return string(c.Status)
		}
		return fmt.Sprintf("%s (%s)", c.Status, c.Reason)
	}
	return string(apiregistrationv1.ConditionUnknown)
}
