package endpointslice

import (
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/septet-io/septet/reconcile"
)

// CatchUp is after what time a Service is looked at again although the informer may still be behind: a write may have been
// undone by somebody else before it was seen.
const CatchUp = time.Second

// Written remembers what was written last of each Service's slices until the informer shows it: a plan made without it would
// make the same slices twice. The zero value is empty.
type Written struct {
	mu sync.Mutex
	// slices is guarded by mu: by Service, then by slice name, the generation that was written and when.
	slices map[reconcile.Key]map[string]write
}

type write struct {
	generation int64
	at         time.Time
}

// Note remembers a slice as the server returned it; a write that failed is passed over.
func (w *Written) Note(service reconcile.Key, slice *discoveryv1.EndpointSlice, err error) {
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slices == nil {
		w.slices = map[reconcile.Key]map[string]write{}
	}
	if w.slices[service] == nil {
		w.slices[service] = map[string]write{}
	}
	w.slices[service][slice.Name] = write{slice.Generation, time.Now()}
}

// Forget ends the memory of a Service that has no slices any more.
func (w *Written) Forget(service reconcile.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.slices, service)
}

// Ahead says whether something that was written is not among the slices that the informer shows.
func (w *Written) Ahead(service reconcile.Key, shown []*discoveryv1.EndpointSlice) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := w.slices[service]
	for _, slice := range shown {
		if last, ok := waiting[slice.Name]; ok && slice.Generation >= last.generation {
			delete(waiting, slice.Name)
		}
	}
	for name, last := range waiting {
		if time.Since(last.at) > CatchUp {
			delete(waiting, name)
		}
	}
	return len(waiting) > 0
}
