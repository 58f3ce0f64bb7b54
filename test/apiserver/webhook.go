package apiserver

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Webhook is an admission webhook with TLS on a loopback port, until its test ends.
type Webhook struct {
	*httptest.Server
	// CA has signed its certificate, in PEM.
	CA []byte

	mu    sync.Mutex
	asked []*admissionv1.AdmissionRequest // guarded by mu
}

// Verdict answers a review. The UID is filled in.
type Verdict func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse

// StartWebhook runs a webhook that answers what verdict says.
func StartWebhook(t testing.TB, verdict Verdict) *Webhook {
	t.Helper()
	hook := &Webhook{}
	hook.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, review) != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		hook.mu.Lock()
		hook.asked = append(hook.asked, review.Request)
		hook.mu.Unlock()
		review.Response = verdict(review.Request)
		review.Response.UID = review.Request.UID
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	return hook
}

// StartRawWebhook runs a webhook that may answer anything.
func StartRawWebhook(t testing.TB, handler http.HandlerFunc) *Webhook {
	t.Helper()
	hook := &Webhook{}
	hook.serve(t, handler)
	return hook
}

func (h *Webhook) serve(t testing.TB, handler http.Handler) {
	h.Server = httptest.NewTLSServer(handler)
	t.Cleanup(h.Server.Close)
	t.Cleanup(h.Server.CloseClientConnections) // the one that hangs
	h.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Server.Certificate().Raw})
}

// Asked are the requests that the webhook was asked about.
func (h *Webhook) Asked() []*admissionv1.AdmissionRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*admissionv1.AdmissionRequest(nil), h.asked...)
}

// Client is how the API server reaches the webhook.
func (h *Webhook) Client() registrationv1.WebhookClientConfig {
	return registrationv1.WebhookClientConfig{URL: ptr.To(h.URL), CABundle: h.CA}
}

// Allow lets everything pass.
func Allow(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Allowed: true}
}

// Refuse lets nothing pass, and says why.
func Refuse(why string) Verdict {
	return func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: why}}
	}
}

// Patch allows, with a JSON patch.
func Patch(patch string) Verdict {
	return func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: ptr.To(admissionv1.PatchTypeJSONPatch)}
	}
}

// On is a rule about operations on resources of a group and version.
func On(group, version, resource string, operations ...registrationv1.OperationType) registrationv1.RuleWithOperations {
	return registrationv1.RuleWithOperations{
		Operations: operations,
		Rule:       registrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{version}, Resources: []string{resource}},
	}
}
