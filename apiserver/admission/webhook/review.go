package webhook

import (
	"encoding/json"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/septet-io/septet/apiserver/admission/match"
)

// reviews reads and writes AdmissionReviews of both versions.
var reviews = func() runtime.NegotiatedSerializer {
	known := runtime.NewScheme()
	utilruntime.Must(admissionv1.AddToScheme(known))
	utilruntime.Must(admissionv1beta1.AddToScheme(known))
	codec := serializer.NewCodecFactory(known).LegacyCodec(admissionv1.SchemeGroupVersion, admissionv1beta1.SchemeGroupVersion)
	return runtime.NewSimpleNegotiatedSerializer(runtime.SerializerInfo{MediaType: "application/json", Serializer: codec})
}()

// question is a review on its way to a webhook.
type question struct {
	uid  types.UID
	body []byte
	// answer is an empty review of the version that was asked in.
	answer runtime.Object
}

// ask makes a review in the first version that a webhook understands.
func ask(h *hook, v *match.Version) (*question, error) {
	obj, old, err := v.JSON()
	if err != nil {
		return nil, err
	}
	review := v.Review()
	review.UID = uuid.NewUUID()
	review.Object.Raw, review.OldObject.Raw = obj, old
	for _, version := range h.versions {
		q := &question{uid: review.UID}
		// Both versions have the same fields.
		sent := struct {
			metav1.TypeMeta `json:",inline"`
			Request         *admissionv1.AdmissionRequest `json:"request"`
		}{Request: review}
		switch version {
		case "v1":
			q.answer = &admissionv1.AdmissionReview{}
		case "v1beta1":
			q.answer = &admissionv1beta1.AdmissionReview{}
		default:
			continue
		}
		sent.Kind, sent.APIVersion = "AdmissionReview", schema.GroupVersion{Group: admissionv1.GroupName, Version: version}.String()
		q.body, err = json.Marshal(sent)
		return q, err
	}
	return nil, errors.New("webhook does not accept known AdmissionReview versions (v1, v1beta1)")
}

// checked takes the response out of an answer, if it is one to this question that such a webhook may give.
func (q *question) checked(mutating bool) (*admissionv1.AdmissionResponse, error) {
	if old, ok := q.answer.(*admissionv1beta1.AdmissionReview); ok {
		return former(old.Response, mutating)
	}
	review := q.answer.(*admissionv1.AdmissionReview)
	r := review.Response
	if r == nil {
		return nil, errors.New("webhook response was absent")
	}
	if r.UID != q.uid {
		return nil, fmt.Errorf("expected response.uid=%q, got %q", q.uid, r.UID)
	}
	if wanted := admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"); review.GroupVersionKind() != wanted {
		return nil, fmt.Errorf("expected webhook response of %v, got %v", wanted, review.GroupVersionKind())
	}
	return r, patchAllowed(r, mutating)
}

func patchAllowed(r *admissionv1.AdmissionResponse, mutating bool) error {
	switch given := len(r.Patch) > 0; {
	case !mutating && given:
		return errors.New("validating webhook may not return response.patch")
	case !mutating && r.PatchType != nil:
		return errors.New("validating webhook may not return response.patchType")
	case given && r.PatchType == nil:
		return errors.New("webhook returned response.patch but not response.patchType")
	case !given && r.PatchType != nil:
		return errors.New("webhook returned response.patchType but not response.patch")
	case given && *r.PatchType == "":
		return fmt.Errorf("webhook returned invalid response.patchType of %q", *r.PatchType)
	}
	return nil
}

// former reads a response of v1beta1, whose UID and patch type were never checked.
func former(r *admissionv1beta1.AdmissionResponse, mutating bool) (*admissionv1.AdmissionResponse, error) {
	if r == nil {
		return nil, errors.New("webhook response was absent")
	}
	now := &admissionv1.AdmissionResponse{UID: r.UID, Allowed: r.Allowed, Result: r.Result, AuditAnnotations: r.AuditAnnotations, Warnings: r.Warnings}
	if mutating && len(r.Patch) > 0 {
		jsonPatch := admissionv1.PatchTypeJSONPatch
		now.Patch, now.PatchType = r.Patch, &jsonPatch
	}
	return now, nil
}
