package apiserver

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// step is one filter. It answers the request itself by returning done, or refuses it with an error.
type step struct {
	name string
	run  func(s *Server, c *call) (done bool, err error)
}

// chain is every filter in running order. What a filter has to do when the request is over it leaves in call.after,
// which runs backwards.
var chain = []step{
	{"refuse", (*Server).refuse},             // a server that ends takes nothing new
	{"cors", (*Server).cors},                 // browsers' preflights carry no credentials
	{"goaway", (*Server).goAway},             // before any work is done for the connection
	{"limit", (*Server).limit},               // URL length
	{"deadline", (*Server).deadline},         // everything below is bounded in time
	{"authenticate", (*Server).authenticate}, // who
	{"trace", (*Server).trace},               // for whom the caller's word on that counts
	{"audit", (*Server).audit},               // also of what is refused from here on
	{"impersonate", (*Server).impersonate},   // who in whose name
	{"flow", (*Server).flow},                 // waits its turn by who and what it is; before authorization may ask a webhook
	{"authorize", (*Server).authorize},       // may they
	{"dispatch", (*Server).dispatch},         // the verb
}

// ServeHTTP takes a request through the chain.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.begin(w, r)
	defer s.end(c)
	for i := range chain {
		done, err := chain[i].run(s, c)
		if err != nil {
			request.Error(&c.recorder, c.r, err)
			return
		}
		if done {
			return
		}
	}
}

// begin makes the request's state.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) *call {
	c := &call{recorder: recorder{ResponseWriter: w}}
	c.state.Info = request.Parse(r)
	c.state.Received = time.Now()
	c.state.UserAgent = r.UserAgent()
	c.state.ID = auditID(r)
	header := w.Header()
	header["Audit-Id"] = []string{c.state.ID}
	header["Cache-Control"] = noCache
	if s.config.StrictTransport != "" {
		header["Strict-Transport-Security"] = []string{s.config.StrictTransport}
	}
	c.r = r.WithContext(request.With(r.Context(), &c.state))
	s.inFlight(&c.state, 1)
	return c
}

var noCache = []string{"no-cache, private"}

// end runs what filters left to do, also after a panic, and measures.
func (s *Server) end(c *call) {
	if c.cause = recover(); c.cause == http.ErrAbortHandler {
		defer panic(c.cause) // how a handler breaks off an answer
	} else if c.cause != nil {
		s.recovered(c)
	}
	for i := len(c.after) - 1; i >= 0; i-- {
		c.after[i]()
	}
	if c.state.Ticket != nil {
		c.state.Ticket.End()
	}
	s.inFlight(&c.state, -1)
	s.measure(c)
}

// recovered answers a request whose handler panicked.
func (s *Server) recovered(c *call) {
	klog.ErrorS(errors.New("panic"), "A request failed", "verb", c.state.Verb, "path", c.state.Path, "cause", c.cause, "stack", string(debug.Stack()))
	if c.recorder.code == 0 {
		//lint:ignore ST1005 upstream's words
		request.Error(&c.recorder, c.r, apierrors.NewInternalError(errors.New("This request caused apiserver to panic. Look in the logs for details.")))
	}
}

// goAway now and then asks an HTTP/2 client to connect again, so that clients spread over servers.
func (s *Server) goAway(c *call) (bool, error) {
	if s.config.GoAwayChance > 0 && c.r.ProtoMajor == 2 && rand.Float64() < s.config.GoAwayChance {
		c.recorder.Header().Set("Connection", "close")
	}
	return false, nil
}

// maxURL bounds what a URL may hold; selectors are what makes them long.
const maxURL = 64 << 10

func (s *Server) limit(c *call) (bool, error) {
	if len(c.r.URL.Path)+len(c.r.URL.RawQuery) <= maxURL {
		return false, nil
	}
	return false, apierrors.NewGenericServerResponse(http.StatusRequestURITooLong, "get", schema.GroupResource{}, "", "the URL is longer than the server reads", 0, true)
}

// deadline bounds requests that do not run long by nature.
func (s *Server) deadline(c *call) (bool, error) {
	if longRunning(&c.state.Info) {
		_ = http.NewResponseController(&c.recorder).SetWriteDeadline(time.Time{}) // a client may stop reading; not supported: it may anyway
		return false, nil
	}
	limit := s.requestTimeout()
	if strings.Contains(c.r.URL.RawQuery, "timeout") && c.state.Verb != "watch" {
		wish, err := time.ParseDuration(c.r.URL.Query().Get("timeout"))
		if text := c.r.URL.Query().Get("timeout"); text != "" && err != nil {
			return false, apierrors.NewBadRequest("invalid timeout specified in the request URL - " + err.Error())
		}
		if wish > 0 && wish < limit {
			limit = wish
		}
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), limit)
	c.after = append(c.after, cancel)
	c.r = c.r.WithContext(ctx)
	return false, nil
}

// longRunning are watches and connections, which end when they end.
func longRunning(i *request.Info) bool {
	if i.Verb == "watch" || i.Verb == "proxy" {
		return true
	}
	switch i.Subresource {
	case "attach", "exec", "proxy", "log", "portforward":
		return true
	}
	return !i.IsResource && strings.HasPrefix(i.Path, "/debug/pprof/")
}

// local says whether a request comes from this process.
func local(r *http.Request) bool { return callerOf(r.Context()) != nil }

func (s *Server) authenticate(c *call) (bool, error) {
	if caller := callerOf(c.r.Context()); caller != nil {
		c.state.User, c.state.Unread = *caller.user, caller.unread
		return false, nil
	}
	began := time.Now()
	user, known, err := s.identify(c.r)
	observeAuthentication(user, known, err, time.Since(began))
	if err != nil || !known {
		klog.FromContext(c.r.Context()).V(2).Info("Unauthorized", "path", c.state.Path, "err", err)
		if err := s.auditStranger(c); err != nil {
			return false, err
		}
		return false, apierrors.NewUnauthorized("Unauthorized")
	}
	c.state.User = *user
	c.r.Header.Del("Authorization") // nobody behind this may see it
	return false, nil
}

func (s *Server) identify(r *http.Request) (*resource.User, bool, error) {
	if s.authenticator == nil {
		return nil, false, nil
	}
	return s.authenticator.Authenticate(r)
}

// authorize asks whether the user may.
func (s *Server) authorize(c *call) (bool, error) {
	began := time.Now()
	decision, reason, err := s.authorizer.Authorize(c.r.Context(), &c.state.Info, c.state.User)
	observeAuthorization(decision, err, time.Since(began))
	if decision == request.Allow {
		c.state.Reason = reason
		if c.state.Record != nil {
			c.state.Annotate("authorization.k8s.io/decision", "allow")
			c.state.Annotate("authorization.k8s.io/reason", reason)
		}
		return false, nil
	}
	if err != nil {
		c.state.Annotate("authorization.k8s.io/reason", "internal error")
		return false, apierrors.NewInternalError(err)
	}
	c.state.Annotate("authorization.k8s.io/decision", "forbid")
	c.state.Annotate("authorization.k8s.io/reason", reason)
	return false, forbidden(&c.state, reason)
}

// forbidden is upstream's wording: who cannot do what, where, and why.
func forbidden(s *request.State, reason string) error {
	text := forbiddenText(s, reason)
	status := apierrors.NewForbidden(schema.GroupResource{Group: s.Group, Resource: s.Resource}, s.Name, errors.New(text))
	if !s.IsResource {
		status = &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
			Message: "forbidden: " + text, Details: &metav1.StatusDetails{},
		}}
	}
	return status
}

// mastersOnly stands in where no authorizer is configured.
type mastersOnly struct{}

// Authorize is request.Authorizer.
func (mastersOnly) Authorize(_ context.Context, _ *request.Info, user resource.User) (request.Decision, string, error) {
	for _, group := range user.Groups {
		if group == "system:masters" {
			return request.Allow, "", nil
		}
	}
	return request.NoOpinion, "", nil
}
