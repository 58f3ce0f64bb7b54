package resourcequota

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metadatafake "k8s.io/client-go/metadata/fake"

	"github.com/septet-io/septet/controllers/controltest"
	"github.com/septet-io/septet/resource/quota"
)

func hard(pairs ...string) corev1.ResourceList {
	all := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		all[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return all
}

// TestUsageFollowsObjects that come and go, of kinds that are measured and of those that are only counted.
//
// conformance: ResourceQuota, object count quota, configmap
func TestUsageFollowsObjects(t *testing.T) {
	t.Parallel()
	meta := metav1.ObjectMeta{Namespace: "default", Name: "a"}
	pod := &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: hard("cpu", "1")}}}}}
	elsewhere := pod.DeepCopy()
	elsewhere.Namespace = "other"
	w := controltest.New(t, pod, elsewhere,
		&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard("pods", "5", "requests.cpu", "5", "count/configmaps", "5")}},
		&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "best"}, Spec: corev1.ResourceQuotaSpec{
			Hard: hard("pods", "5"), Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort},
		}},
	)
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	partial := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: meta}
	metadata := metadatafake.NewSimpleMetadataClient(scheme, runtime.Object(partial))
	w.Metadata = metadata
	w.Fake.Resources = []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "configmaps", Namespaced: true, Kind: "ConfigMap"}}}}
	w.Run(w.Must(New(w.Set, 2)))
	ctx := context.Background()
	used := func(name, want string) func() string {
		return func() string {
			q, err := w.CoreV1().ResourceQuotas("default").Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if got := quota.Print(q.Status.Used, quota.Names(q.Status.Used)); got != want || len(q.Status.Hard) != len(q.Spec.Hard) {
				return fmt.Sprintf("%s: %s of %v", name, got, q.Status.Hard)
			}
			return ""
		}
	}
	w.Eventually(used("q", "count/configmaps=1,pods=1,requests.cpu=1"))
	w.Eventually(used("best", "pods=0"))
	if err := w.CoreV1().Pods("default").Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(used("q", "count/configmaps=1,pods=0,requests.cpu=0"))
	if err := metadata.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace("default").Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(used("q", "count/configmaps=0,pods=0,requests.cpu=0"))
}
