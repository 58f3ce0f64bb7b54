package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/request"
)

var errNotStored = errors.New("failed to store audit event")

// record is one request's event on its way from stage to stage: request.Record. It belongs to the request's goroutine; what a sink
// gets is a copy that nobody changes any more.
type record struct {
	auditor *Auditor
	verdict
	state  *request.State
	header http.Header // of the answer
	long   bool
	event  Event
	// answer is what was written, if the policy wants that; over says that it was more than longestAnswer.
	answer bytes.Buffer
	over   bool
}

// longestAnswer bounds what is kept of an answer to be recorded.
const longestAnswer = 32 << 20

// Requested is request.Record.
func (r *record) Requested(body any) {
	patch, isPatch := body.(json.RawMessage)
	if isPatch {
		if r.wants(Request) {
			r.event.RequestObject = asJSON(patch)
		}
		return
	}
	if object, err := meta.Accessor(body); err == nil && r.event.ObjectRef != nil {
		r.event.ObjectRef.complete(object)
	}
	if !r.wants(Request) {
		return
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		klog.ErrorS(err, "Cannot record the body of a request", "auditID", r.state.ID)
		return
	}
	r.event.RequestObject = r.trim(encoded)
}

// ShowsBody is request.Record.
func (r *record) ShowsBody() bool { return r.wants(Request) }

// complete takes from an object what the URL does not say.
func (o *ObjectReference) complete(object metav1.Object) {
	for _, field := range []struct {
		to   *string
		from string
	}{
		{&o.Namespace, object.GetNamespace()}, {&o.Name, object.GetName()},
		{&o.UID, string(object.GetUID())}, {&o.ResourceVersion, object.GetResourceVersion()},
	} {
		if *field.to == "" {
			*field.to = field.from
		}
	}
}

// wants says whether the policy asks for at least this level.
func (r *record) wants(level Level) bool {
	return slices.Index(levels, r.level) >= slices.Index(levels, level)
}

// Started is request.Record.
func (r *record) Started(code int) {
	if !r.long {
		return
	}
	r.event.ResponseStatus = r.status(code)
	r.emit(ResponseStarted, now())
}

// Wrote is request.Record.
func (r *record) Wrote(part []byte) {
	if r.over || r.long || r.event.ObjectRef == nil || !r.wants(RequestResponse) {
		return
	}
	if r.answer.Len()+len(part) > longestAnswer {
		r.over, r.answer = true, bytes.Buffer{}
		return
	}
	r.answer.Write(part)
}

// Finished is request.Record.
func (r *record) Finished(code int, cause any) {
	if cause != nil {
		r.event.ResponseStatus = &metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError,
			Message: fmt.Sprintf("APIServer panic'd: %v", cause),
		}
		r.emit(Panic, now())
		return
	}
	if code == 0 { // nothing was ever written
		r.event.ResponseStatus = &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusOK, Message: "Connection closed early"}
		if r.long {
			r.emit(ResponseStarted, now())
		}
	} else {
		r.event.ResponseStatus = r.status(code)
	}
	if r.over {
		r.state.Annotate(truncatedKey, "true")
	} else if r.answer.Len() > 0 {
		r.event.ResponseObject = r.responseObject()
		r.answer = bytes.Buffer{}
	}
	r.emit(ResponseComplete, now())
}

// status is what the client was told: all of a Status, else the code alone.
func (r *record) status(code int) *metav1.Status {
	told := r.state.Status
	if told == nil {
		return &metav1.Status{Code: int32(code)}
	}
	return &metav1.Status{Status: told.Status, Message: told.Message, Reason: told.Reason, Details: told.Details, Code: int32(code)}
}

func (r *record) responseObject() json.RawMessage {
	body, err := decodeAnswer(r.answer.Bytes(), r.header)
	if err != nil {
		klog.ErrorS(err, "Cannot record an answer", "auditID", r.state.ID)
	}
	return r.trim(body)
}

// trim leaves out managedFields if the policy says so.
func (r *record) trim(object json.RawMessage) json.RawMessage {
	if !r.omitManagedFields || len(object) == 0 {
		return object
	}
	return withoutManagedFields(object)
}

// emit hands a copy of the event to the sink, as of the given stage. False means that it was not stored and the request must not go on.
func (r *record) emit(stage Stage, at metav1.MicroTime) bool {
	if slices.Contains(r.omit, stage) || slices.Contains(r.auditor.policy.OmitStages, stage) {
		return true
	}
	event := r.event
	event.Stage, event.StageTimestamp, event.Annotations = stage, at, r.state.Annotations()
	if r.event.ObjectRef != nil {
		ref := *r.event.ObjectRef
		event.ObjectRef = &ref
	}
	if real := r.state.Impersonator; real != nil {
		as := userInfo(&r.state.User)
		event.ImpersonatedUser = &as
		if constraint := r.state.ImpersonationConstraint; constraint != "" {
			event.AuthenticationMetadata = &AuthenticationMetadata{ImpersonationConstraint: constraint}
		}
	}
	eventTotal.Inc()
	return r.auditor.sink.write([]*Event{&event})
}
