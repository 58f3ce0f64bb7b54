package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/admission/match"
)

// callError is why a webhook could not be asked, or gave no usable answer. Its failure policy decides what comes of that.
type callError struct {
	webhook string
	reason  error
	code    int32
}

// Error is in upstream's words.
func (e *callError) Error() string {
	if e.reason != nil {
		return fmt.Sprintf("failed calling webhook %q: %v", e.webhook, e.reason)
	}
	return fmt.Sprintf("failed calling webhook %q; no further details available", e.webhook)
}

// Unwrap lets the reason be found.
func (e *callError) Unwrap() error { return e.reason }

// refusal is a webhook's no.
type refusal struct{ *apierrors.StatusError }

// call asks a webhook about a request. Errors are *callError, refusal, or the answer to the client.
func (c *Clients) call(ctx context.Context, h *hook, v *match.Version) (*admissionv1.AdmissionResponse, error) {
	failed := func(code int32, format string, args ...any) error {
		return &callError{h.name, fmt.Errorf(format, args...), code}
	}
	if v.DryRun {
		switch h.sideEffect {
		case registrationv1.SideEffectClassNone, registrationv1.SideEffectClassNoneOnDryRun:
		case "":
			return nil, failed(http.StatusBadRequest, "Webhook SideEffects is nil")
		default:
			return nil, apierrors.NewBadRequest(fmt.Sprintf("admission webhook %q does not support dry run", h.name))
		}
	}
	q, err := ask(h, v)
	if err != nil {
		return nil, failed(http.StatusBadRequest, "could not create admission objects: %w", err)
	}
	client, err := c.get(&h.client)
	if err != nil {
		return nil, failed(http.StatusInternalServerError, "could not get REST client: %w", err)
	}
	if h.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	post := client.Post().Body(q.body).SetHeader("Content-Type", "application/json")
	if deadline, has := ctx.Deadline(); has && time.Until(deadline) > 0 {
		post.Timeout((time.Until(deadline) + time.Second - 1).Truncate(time.Second)) // tells the webhook; whole seconds, rounded up
	}
	if err := post.Do(ctx).Into(q.answer); err != nil {
		code := int32(http.StatusServiceUnavailable)
		if status := apierrors.APIStatus(nil); errors.As(err, &status) {
			code = status.Status().Code
		}
		return nil, failed(code, "failed to call webhook: %w", err)
	}
	response, err := q.checked(h.kind == "admit")
	if err != nil {
		return nil, failed(http.StatusServiceUnavailable, "received invalid webhook response: %w", err)
	}
	return response, h.heard(v, response)
}

// heard passes annotations and warnings on, and turns a no into an error.
func (h *hook) heard(v *match.Version, r *admissionv1.AdmissionResponse) error {
	for key, value := range r.AuditAnnotations {
		v.AddAnnotation(h.name+"/"+key, value)
	}
	for _, text := range r.Warnings {
		v.AddWarning(text)
	}
	if r.Allowed {
		return nil
	}
	return refusal{denied(h.name, r.Result)}
}

// mostStatus is the largest number that HTTP has room for.
const mostStatus = 999

// denied is the answer to the client whose request a webhook refuses. What the webhook says of it cannot make it a success.
func denied(webhook string, result *metav1.Status) *apierrors.StatusError {
	status := metav1.Status{}
	if result != nil {
		status = *result
	}
	switch {
	case status.Code < http.StatusBadRequest:
		status.Code = http.StatusBadRequest
	case status.Code > mostStatus:
		status.Code = http.StatusInternalServerError
	}
	if status.Status == "" || status.Status == metav1.StatusSuccess {
		status.Status = metav1.StatusFailure
	}
	by := fmt.Sprintf("admission webhook %q denied the request", webhook)
	switch {
	case status.Message != "":
		status.Message = by + ": " + status.Message
	case status.Reason != "":
		status.Message = by + ": " + string(status.Reason)
	default:
		status.Message = by + " without explanation"
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// outcome is what a call comes to for the request and in metrics.
type outcome struct {
	// err refuses the request; nil: it goes on.
	err error
	// open says that it goes on although the webhook could not be asked.
	open              bool
	refused, canceled bool
	code              int
	cause             string
}

// outcomeOf applies the failure policy.
func (h *hook) outcomeOf(err error) *outcome {
	failure, refused := (*callError)(nil), refusal{}
	switch {
	case err == nil:
		return &outcome{code: http.StatusOK}
	case errors.As(err, &failure):
		canceled := errors.Is(failure.reason, context.Canceled)
		o := &outcome{code: int(failure.code), canceled: canceled, cause: "calling_webhook_error"}
		if h.failOpen {
			o.open = true
		} else {
			o.refused, o.err = true, apierrors.NewInternalError(failure)
		}
		return o
	case errors.As(err, &refused):
		return &outcome{err: refused.StatusError, refused: true, code: int(refused.ErrStatus.Code), cause: "no_error"}
	}
	return &outcome{err: err, refused: true, cause: "apiserver_internal_error"}
}

// errEnded is the answer when the request's own time is over.
func errEnded() error {
	return apierrors.NewTimeoutError("request did not complete within requested timeout", 0)
}
