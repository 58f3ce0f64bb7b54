package apiserver

import (
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver"
)

// Flags that say for how long, and who keeps the server's own endpoints, are heeded.
func TestWhatIsSaidForHowLong(t *testing.T) {
	t.Parallel()
	s := StartComplete(t, func(c *apiserver.Standard) {
		c.NotReadySeconds, c.UnreachableSeconds, c.EventTTL, c.NoEndpoints = ptr.To[int64](7), ptr.To[int64](8), 100*time.Second, true
	})
	pod := s.Do("POST", "/api/v1/namespaces/default/pods", `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"app:1"}]}}`)
	for _, want := range []string{`"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":7`,
		`"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":8`} {
		if pod.Code != 201 || !strings.Contains(pod.Body, want) {
			t.Errorf("%d: no %s in %s", pod.Code, want, pod.Body)
		}
	}
	event := s.Do("POST", "/api/v1/namespaces/default/events", `{"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","namespace":"default","name":"p"},"reason":"Test"}`)
	if event.Code != 201 {
		t.Fatalf("event: %d %s", event.Code, event.Body)
	}
	etcd := s.Etcd.Client()
	stored, err := etcd.Get(t.Context(), "/registry/events/default/e")
	if err != nil || len(stored.Kvs) != 1 {
		t.Fatalf("%v, %v", stored, err)
	}
	left, err := etcd.TimeToLive(t.Context(), clientv3.LeaseID(stored.Kvs[0].Lease))
	if err != nil || left.GrantedTTL < 100 || left.GrantedTTL > 300 {
		t.Errorf("the event lives for %d s, %v", left.GrantedTTL, err)
	}
	if _, err := s.Client().CoreV1().Endpoints("default").Get(t.Context(), "kubernetes", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("endpoints that nobody asked for: %v", err)
	}
	tracked, err := s.Client().CoreV1().ConfigMaps("kube-system").Get(t.Context(), "kube-apiserver-legacy-service-account-token-tracking", metav1.GetOptions{})
	if err != nil || tracked.Data["since"] == "" {
		t.Errorf("record of token use: %v, %v", tracked, err)
	}
}
