package apiserver

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestMetricsThatDashboardsRead are there under upstream's names and labels once something has happened that they tell of.
func TestMetricsThatDashboardsRead(t *testing.T) {
	t.Parallel()
	s := StartComplete(t)
	if a := s.Do("POST", "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"c"}}`); a.Code != 201 {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if _, err := s.Clients(s.Admin()).CoreV1().ConfigMaps("default").Get(t.Context(), "c", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	shown := s.Do("GET", "/metrics", "").Body
	for _, series := range []string{
		`apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="false",type="admit"}`,
		`apiserver_admission_step_admission_duration_seconds_count{operation="CREATE",rejected="false",type="validate"}`,
		`apiserver_request_sli_duration_seconds_count{component="apiserver",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"}`,
		`apiserver_response_sizes_count{component="apiserver",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"}`,
		`apiserver_client_certificate_expiration_seconds_count`,
		`apiserver_storage_events_received_total{group="",resource="configmaps"}`,
		`authenticated_user_requests{username="admin"}`,
		`authentication_attempts{result="success"}`,
		`authentication_duration_seconds_count{result="success"}`,
		`authorization_attempts_total{result="allowed"}`,
		`authorization_duration_seconds_count{result="allowed"}`,
		`etcd_request_duration_seconds_count{group="",operation="create",resource="configmaps"}`,
		`etcd_requests_total{group="",operation="create",resource="configmaps"}`,
	} {
		if !strings.Contains(shown, "\n"+series+" ") {
			t.Errorf("no %s", series)
		}
	}
	if strings.Contains(shown, `apiserver_response_sizes_count{component="apiserver",group="",resource="configmaps",scope="resource",subresource="",verb="POST"`) {
		t.Error("sizes are those of what is read")
	}
}
