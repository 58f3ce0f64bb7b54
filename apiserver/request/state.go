package request

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// State is one request's way through the server: filters fill it in, the verbs read it. One context value carries it.
type State struct {
	Info
	User resource.User
	// ID is the Audit-ID.
	ID string
	// Received is when the request came in.
	Received time.Time
	// Reason is why authorization allowed it: `RBAC: allowed by ClusterRoleBinding "cluster-admin" …`.
	Reason string
	// Impersonator is the real user where User was impersonated, else nil.
	Impersonator *resource.User
	// UserAgent of the request.
	UserAgent string
	// ImpersonationConstraint is the verb that allowed a constrained impersonation, else empty.
	ImpersonationConstraint string
	// Record is the audit event in the making; nil if nobody wants one.
	Record Record
	// Unread says that the client does not look at the answer of a success, so that its body can be left out unless audit records it.
	Unread bool
	// Status is what the client was told, where that was a Status.
	Status *metav1.Status
	// Ticket is that of the Flow that let the request in; may be nil.
	Ticket Ticket

	excluded atomic.Int64

	lock sync.Mutex
	// warnings is guarded by lock: Warning headers to send, without repeats.
	warnings []string
	// annotations is guarded by lock: of the audit event.
	annotations map[string]string
}

// Begun says that what remains of the request costs next to nothing: a watch whose initial events are out, or a request that another
// server answers.
func (s *State) Begun() {
	if s.Ticket != nil {
		s.Ticket.Leave()
	}
}

// Exclude says that the request spent time that the server cannot help: it waited for its turn, or for a webhook.
func (s *State) Exclude(took time.Duration) { s.excluded.Add(int64(took)) }

// Excluded is all of that time.
func (s *State) Excluded() time.Duration { return time.Duration(s.excluded.Load()) }

type stateKey struct{}

// With returns ctx with the state of its request.
func With(ctx context.Context, s *State) context.Context {
	return context.WithValue(ctx, stateKey{}, s)
}

// From returns the state of the request that ctx belongs to. Never nil: outside a request it is empty.
func From(ctx context.Context) *State {
	if s, ok := ctx.Value(stateKey{}).(*State); ok {
		return s
	}
	return &State{}
}

// maxWarnings and maxWarningBytes bound the Warning headers of one answer, as upstream does.
const (
	maxWarningBytes = 4 << 10
	maxWarnings     = 64
)

// Warn adds a Warning header to the answer, once for each text.
func (s *State) Warn(text string) {
	if text == "" {
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if len(s.warnings) >= maxWarnings {
		return
	}
	for _, w := range s.warnings {
		if w == text {
			return
		}
	}
	s.warnings = append(s.warnings, text)
}

// Requested notes the body of a request for audit, before anything changes it: a runtime.Object, or a patch as json.RawMessage.
func (s *State) Requested(body any) {
	if s.Record != nil {
		s.Record.Requested(body)
	}
}

// Annotate adds to the audit event of the request. What is there stays: the first who says something is right.
func (s *State) Annotate(key, value string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.annotations == nil {
		s.annotations = map[string]string{}
	}
	if _, said := s.annotations[key]; !said {
		s.annotations[key] = value
	}
}

// AnnotateRequest is Annotate for what tells of the request's body: only audit events that show the body get it.
func (s *State) AnnotateRequest(key, value string) {
	if s.Record != nil && s.Record.ShowsBody() {
		s.Annotate(key, value)
	}
}

// Annotations returns a copy of what Annotate collected, nil if nothing.
func (s *State) Annotations() map[string]string {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.annotations == nil {
		return nil
	}
	copied := make(map[string]string, len(s.annotations))
	for k, v := range s.annotations {
		copied[k] = v
	}
	return copied
}

// WriteWarnings sets the Warning headers; call it just before the status line is written.
func (s *State) WriteWarnings(header http.Header) {
	s.lock.Lock()
	defer s.lock.Unlock()
	total := 0
	for _, text := range s.warnings {
		value := warningHeader(text)
		if total += len(value); total > maxWarningBytes {
			break
		}
		header.Add("Warning", value)
	}
	s.warnings = nil
}
