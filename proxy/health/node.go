// Package health tells load balancers about this node: whether its proxy works and new connections should be sent to it at all (Node), and
// whether it has endpoints of a Service that wants to be balanced over those nodes only (Services).
package health

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// patience is how long a change may wait to be programmed before the proxy counts as broken.
const patience = time.Minute

// Node is the state behind /healthz and /livez. The zero value has never worked yet.
type Node struct {
	mu sync.Mutex
	// updated is the last time that the kernel's rules were known to be right, waiting since when they are not (zero: they are).
	updated, waiting time.Time
	leaving          bool
}

// Queued notes that something has to be programmed.
func (n *Node) Queued() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiting.IsZero() {
		n.waiting = time.Now()
	}
}

// Done notes that everything is programmed.
func (n *Node) Done() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.updated, n.waiting = time.Now(), time.Time{}
}

// Leaving notes whether the node is about to be removed: it then asks for no new connections, though it still works (KEP-3836).
func (n *Node) Leaving(leaving bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leaving = leaving
}

// Healthy says whether the rules are right, or are not yet late.
func (n *Node) Healthy() bool {
	healthy, _, _ := n.look()
	return healthy
}

func (n *Node) look() (healthy, eligible bool, updated time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	switch {
	case n.updated.IsZero():
		return false, !n.leaving, now
	case n.waiting.IsZero():
		// Nothing to do: what was programmed is right at this moment.
		return true, !n.leaving, now
	}
	return now.Sub(n.waiting) < patience, !n.leaving, n.updated
}

// Handler serves /healthz, which says whether balancers should choose this node, and /livez, which says only whether the proxy works.
func (n *Node) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		healthy, eligible, updated := n.look()
		n.answer(w, healthy && eligible, eligible, updated)
	})
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) {
		healthy, eligible, updated := n.look()
		n.answer(w, healthy, eligible, updated)
	})
	return mux
}

func (n *Node) answer(w http.ResponseWriter, ok, eligible bool, updated time.Time) {
	data, err := json.Marshal(map[string]any{
		"lastUpdated": updated.String(), "currentTime": time.Now().String(), "nodeEligible": eligible,
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, ok, data)
}

// reply answers 200 or 503.
func reply(w http.ResponseWriter, ok bool, data []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if _, err := w.Write(data); err != nil {
		return // the balancer has gone
	}
}
