// Package flow is API priority and fairness: it decides when a request may run. FlowSchemas sort requests into priority levels, each of
// which has a share of the server's seats; what finds no seat waits in one of its level's queues, by turns with other flows, or is refused.
// Fair queuing itself is package fair. https://kubernetes.io/docs/concepts/cluster-administration/flow-control
package flow

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/septet-io/septet/apiserver/flow/fair"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
)

// Config says how many requests run at a time.
type Config struct {
	// Seats of the whole server: --max-requests-inflight and --max-mutating-requests-inflight together.
	Seats int
	// Wait bounds how long a request without a deadline may wait: watches. A quarter of 60 s if zero.
	Wait time.Duration
	// Resources tell how many objects a list goes through.
	Resources *rest.Registry
}

// Fairness is a request.Flow. It works from the start, with upstream's mandatory levels; Run brings in the others.
type Fairness struct {
	config  Config
	table   atomic.Pointer[table]
	watches watches

	// mu is held while the configuration changes.
	mu sync.Mutex
	// levels is guarded by mu: those in use by name, with those that are being emptied.
	levels map[string]*level
}

// table is what requests are sorted by. It never changes.
type table struct {
	schemas  []*flowSchema // in the order of matching
	catchAll *flowSchema
}

// New makes a Fairness of the mandatory objects alone.
func New(config Config) *Fairness {
	if config.Wait <= 0 {
		config.Wait = defaultWait
	}
	f := &Fairness{config: config, levels: map[string]*level{}}
	f.watches.counts = map[watchKey]int{}
	f.digest(nil, nil)
	return f
}

const (
	defaultWait = 15 * time.Second
	// longestWait bounds every wait.
	longestWait = time.Minute
	// waitPart of the time that a request has may be spent waiting.
	waitPart = 4
)

// The names of the headers, as net/http keeps them.
var (
	schemaHeader = http.CanonicalHeaderKey(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID)
	levelHeader  = http.CanonicalHeaderKey(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID)
)

var began = time.Now()

// clock is the time that levels are kept by.
func clock() time.Duration { return time.Since(began) }

// Enter is request.Flow.
func (f *Fairness) Enter(w http.ResponseWriter, r *http.Request, s *request.State) (request.Ticket, bool) {
	found := f.table.Load().match(&s.Info, &s.User)
	header := w.Header()
	header[schemaHeader], header[levelHeader] = found.uid, found.levelUID
	t := &ticket{schema: found, state: s}
	t.request.Owner = t
	t.request.Hash = found.hash(s)
	t.request.Work = f.estimate(r, s, found)
	if !found.level.enter(r.Context(), t, f.limit(r.Context(), s)) {
		found.level.retry.drop(time.Now().Unix())
		header.Set("Retry-After", strconv.FormatInt(found.level.retry.after(), 10))
		http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
		return nil, false
	}
	if s.Verb == "watch" {
		t.watch, t.key = &f.watches, watchOf(s)
		f.watches.add(t.key, 1)
	}
	return t, true
}

// limit is how long a request may wait: a quarter of the time that it has.
func (f *Fairness) limit(ctx context.Context, s *request.State) time.Duration {
	limit := f.config.Wait
	if deadline, has := ctx.Deadline(); has {
		limit = deadline.Sub(s.Received) / waitPart
	}
	return min(limit, longestWait)
}

// ticket is a request that has been let in. Its Leave may be called twice: a watch leaves when its initial events are out, and
// again when it ends.
type ticket struct {
	schema  *flowSchema
	state   *request.State
	request fair.Request
	// ready is closed when a request that waits may run.
	ready chan struct{}
	left  atomic.Bool
	// next and prev are those that run in the same level, guarded by its lock.
	next, prev *ticket

	watch *watches // of a watch
	key   watchKey
}

// Leave is request.Ticket.
func (t *ticket) Leave() {
	if !t.left.Swap(true) {
		t.schema.level.leave(t)
	}
}

// End is request.Ticket.
func (t *ticket) End() {
	t.Leave()
	if t.watch != nil {
		t.watch.add(t.key, -1)
	}
}
