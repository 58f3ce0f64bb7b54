package apiregistration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestAPIServices(t *testing.T) {
	t.Parallel()
	obj := &apiregistrationv1.APIService{Spec: apiregistrationv1.APIServiceSpec{Version: "v1", GroupPriorityMinimum: 17000, VersionPriority: 15}}
	obj.Name = "v1."
	expect(t, validateAPIService(nil, obj))
	obj.Spec.Group, obj.Spec.InsecureSkipTLSVerify, obj.Spec.VersionPriority = "example.com", true, 1001
	expect(t, validateAPIService(nil, obj),
		"metadata.name: Invalid value: \"v1.\": must be `spec.version+\".\"+spec.group`",
		"spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
		"spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify")
	obj.Name, obj.Spec.VersionPriority = "v1.example.com", 1
	obj.Spec.Service, obj.Spec.CABundle = &apiregistrationv1.ServiceReference{Name: "s"}, []byte("ca")
	expect(t, validateAPIServiceUpdate(nil, obj, obj),
		"spec.service.namespace: Required value",
		"spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present")
}
