package request

import (
	"context"
	"net/http"

	"github.com/septet-io/septet/resource"
)

// Authenticator finds out who makes a request. It returns false without an error if the request has no credentials that
// it knows, and an error if it has and they are bad; both may let the next Authenticator try.
type Authenticator interface {
	Authenticate(r *http.Request) (*resource.User, bool, error)
}

// Decision is an Authorizer's answer.
type Decision int

// The three answers. NoOpinion lets the next Authorizer decide; at the end of a chain it is a denial.
const (
	Deny Decision = iota
	Allow
	NoOpinion
)

// Authorizer says whether a user may do what a request asks for. reason is for people: which rule decided, or why not.
// An error together with NoOpinion means that not everything could be looked at.
type Authorizer interface {
	Authorize(ctx context.Context, info *Info, user resource.User) (decision Decision, reason string, err error)
}

// RuleLister is an Authorizer that can list what a user may do in a namespace, for SelfSubjectRulesReview.
type RuleLister interface {
	Rules(ctx context.Context, user resource.User, namespace string) (resources []ResourceRule, paths []PathRule, incomplete bool, err error)
}

// ResourceRule is a set of verbs on resources, with RBAC's meaning of the fields.
type ResourceRule struct{ Verbs, APIGroups, Resources, ResourceNames []string }

// PathRule is a set of verbs on URL paths that are not resources.
type PathRule struct{ Verbs, Paths []string }

// Auditor notes requests by policy. Begin is called when the user is known, or is known to be unknown; long says that the request
// runs long by nature. It returns nil if nothing is to be noted, and an error if the request must not go on because that failed.
type Auditor interface {
	Begin(w http.ResponseWriter, r *http.Request, s *State, long bool) (Record, error)
}

// Record is the note of one request in the making. It belongs to the request's goroutine.
type Record interface {
	// Requested notes the body, as a runtime.Object or a patch as json.RawMessage.
	Requested(body any)
	// ShowsBody says whether the note has the request's body.
	ShowsBody() bool
	// Started is called when the answer begins, Wrote with each part of its body.
	Started(code int)
	Wrote(part []byte)
	// Finished is called when the answer is out: with its status code, zero if nothing was written, and the cause of a panic or nil.
	Finished(code int, cause any)
}

// Tracer makes a span of each request. Begin is called when the user is known, since not everybody may ask for a trace; end when the
// answer is out. The request that it returns carries the span.
type Tracer interface {
	Begin(r *http.Request, s *State) (traced *http.Request, end func(code int))
}

// Flow decides when a request may run (priority and fairness). It may block until it is the request's turn.
type Flow interface {
	// Enter lets a request in; the Ticket (nil: none is needed) must be ended when the request is over. If it returns false it has
	// answered: too many requests, with Retry-After.
	Enter(w http.ResponseWriter, r *http.Request, s *State) (Ticket, bool)
}

// Ticket is a request that a Flow has let in.
type Ticket interface {
	// Leave says that the request needs nothing more that is scarce: a watch whose initial events are out.
	Leave()
	// End says that the request is over. Call it once.
	End()
}
