package flow

import (
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/flow/fair"
	"github.com/septet-io/septet/apiserver/request"
)

const (
	// objectsPerSeat is how many objects a list goes through for each seat that it takes.
	objectsPerSeat = 100
	// watchersPerSeat is how many watchers one seat serves after a write, each for eventTime.
	watchersPerSeat = 10
	eventTime       = 5 * time.Millisecond
	// widest is the most seats that one request takes, and widestPart of its level's seats.
	widest     = 10
	widestPart = 0.15
)

// estimate says how much work a request is.
func (f *Fairness) estimate(r *http.Request, s *request.State, c *flowSchema) fair.Work {
	switch s.Verb {
	case "list":
		return fair.Work{Seats: f.listSeats(s, c)}
	case "watch":
		if sendsInitialEvents(r) {
			return fair.Work{Seats: f.listSeats(s, c)}
		}
	case "create", "update", "patch", "delete":
		if watchers := f.watches.interested(s); watchers >= watchersPerSeat {
			return writeWork(watchers, int(c.level.width.Load()))
		}
	}
	return fair.Work{Seats: 1}
}

// listSeats grows with the number of objects that the server goes through. What it does not store itself costs it little.
func (f *Fairness) listSeats(s *request.State, c *flowSchema) int {
	if s.Name != "" {
		return 1
	}
	found := f.config.Resources.Get(resourceOf(s))
	if found == nil || !found.Stored() {
		return 1
	}
	counted, ok := found.Open().(interface{ Count() int })
	if !ok {
		return 1
	}
	objects := counted.Count()
	if objects <= objectsPerSeat {
		return 1
	}
	return min((objects+objectsPerSeat-1)/objectsPerSeat, int(c.level.width.Load()))
}

func resourceOf(s *request.State) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: s.Group, Version: s.Version, Resource: s.Resource}
}

// widest is how many seats one request may take of the level: no more than a hand of its queues could have each.
func (l *level) widestRequest() int {
	limited := l.object.Spec.Limited
	if limited == nil || limited.LimitResponse.Queuing == nil {
		return widest
	}
	most := min(math.Ceil(float64(l.nominal)*widestPart), float64(l.nominal/max(int(limited.LimitResponse.Queuing.HandSize), 1)))
	return max(1, min(int(most), widest))
}

// sendsInitialEvents says whether a watch begins with all objects.
func sendsInitialEvents(r *http.Request) bool {
	query := request.Query(r)
	version := query.Get("resourceVersion")
	return query.Get("sendInitialEvents") == "true" || version == "" || version == "0"
}

// writeWork is a write that many watch: seats for the events that follow, fewer of them for longer if they were too many.
func writeWork(watchers, most int) fair.Work {
	seats := (watchers + watchersPerSeat - 1) / watchersPerSeat
	final := min(seats, most)
	return fair.Work{Seats: 1, Final: final, Extra: eventTime * time.Duration(seats) / time.Duration(final)}
}

// watches counts watchers by what they look at.
type watches struct {
	mu sync.RWMutex
	// counts is guarded by mu.
	counts map[watchKey]int
}

// watchKey is what a watcher looks at: all of a resource, a namespace's, or one object.
type watchKey struct{ group, resource, namespace, name string }

func watchOf(s *request.State) watchKey { return watchKey{s.Group, s.Resource, s.Namespace, s.Name} }

func (w *watches) add(key watchKey, change int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts[key] += change; w.counts[key] <= 0 {
		delete(w.counts, key)
	}
}

// interested is how many watchers a write may concern. A new token is no event.
func (w *watches) interested(s *request.State) int {
	if s.Resource == "serviceaccounts" && s.Subresource == "token" {
		return 0
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	key := watchKey{group: s.Group, resource: s.Resource}
	total := w.counts[key]
	if s.Namespace != "" {
		key.namespace = s.Namespace
		total += w.counts[key]
	}
	if s.Name != "" {
		key.name = s.Name
		total += w.counts[key]
		if s.Namespace != "" {
			key.namespace = ""
			total += w.counts[key]
		}
	}
	return total
}

// isMutating says which of the two limits of requests in flight a request counts against.
func isMutating(verb string) bool {
	return !strings.Contains(" get list watch ", " "+verb+" ")
}
