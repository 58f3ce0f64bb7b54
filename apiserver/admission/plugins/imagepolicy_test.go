package plugins

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/admission"
)

// TestImagesAreAskedFor: a service decides which images may run. It is asked once about the same ones, and what it says to auditors is noted.
func TestImagesAreAskedFor(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var broken atomic.Bool
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		review := &imagepolicyv1alpha1.ImageReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil || broken.Load() {
			http.Error(w, "broken", http.StatusBadRequest)
			return
		}
		review.Status = imagepolicyv1alpha1.ImageReviewStatus{Allowed: true, AuditAnnotations: map[string]string{"by": review.Spec.Namespace}}
		for _, c := range review.Spec.Containers {
			if strings.HasPrefix(c.Image, "bad") && review.Spec.Annotations["x.image-policy.k8s.io/break-glass"] == "" {
				review.Status = imagepolicyv1alpha1.ImageReviewStatus{Reason: c.Image + " is not signed"}
			}
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(service.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}`, service.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	plugin := func(more string) admission.Plugin {
		made, _ := world(t, placed(t, nil, imagePolicyName, fmt.Sprintf("{imagePolicy: {kubeConfigFile: %q, retryBackoff: 1%s}}", kubeconfig, more), imagePolicy))
		return made
	}
	pod := func(image string, annotations map[string]string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: annotations}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Image: "good"}}, InitContainers: []corev1.Container{{Image: image}},
		}}
	}
	strict, noted := plugin(""), map[string]string{}
	allowed := creation(pod("fine", nil))
	allowed.Annotate = func(key, value string) { noted[key] = value }
	agree(t, "allowed", run(t, strict, allowed), "")
	if noted["imagepolicywebhook.image-policy.k8s.io/by"] != "default" {
		t.Errorf("noted %v", noted)
	}
	agree(t, "again", run(t, strict, creation(pod("fine", nil))), "")
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	agree(t, "denied", run(t, strict, creation(pod("bad", nil))), `pods "p" is forbidden: image policy webhook backend denied one or more images: bad is not signed`)
	agree(t, "annotated", run(t, strict, creation(pod("bad", map[string]string{"x.image-policy.k8s.io/break-glass": "1"}))), "")
	debugged := pod("fine", nil)
	debugged.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Image: "bad"}}}
	agree(t, "ephemeral", run(t, strict, of(update(debugged, pod("fine", nil), "ephemeralcontainers"), "", "pods")), "bad is not signed")

	broken.Store(true)
	if got := run(t, strict, creation(pod("new", nil))); !strings.Contains(got, `pods "p" is forbidden`) {
		t.Errorf("a service that cannot be asked: %q", got)
	}
	open := creation(pod("new", nil))
	open.Annotate = func(key, value string) { noted[key] = value }
	agree(t, "failing open", run(t, plugin(", defaultAllow: true"), open), "")
	if noted["imagepolicywebhook.image-policy.k8s.io/failed-open"] != "true" {
		t.Errorf("noted %v", noted)
	}
}

// TestImagePolicyNeedsAConfiguration that can be meant.
func TestImagePolicyNeedsAConfiguration(t *testing.T) {
	t.Parallel()
	for configuration, want := range map[string]string{
		"": "it needs a configuration",
		"{imagePolicy: {kubeConfigFile: none, allowTTL: 3600}}": "imagePolicy.allowTTL: valid value is between 1s and 30m0s, got 1h0m0s",
		"{imagePolicy: {kubeConfigFile: none}}":                 "imagePolicy.kubeConfigFile: ",
		"{imagePolicy: {file: none}}":                           `unknown field "file"`,
	} {
		if _, err := placed(t, nil, imagePolicyName, configuration, imagePolicy)(&Env{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", configuration, err)
		}
	}
}
