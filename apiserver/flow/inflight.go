package flow

import (
	"net/http"
	"slices"

	"github.com/septet-io/septet/apiserver/request"
)

// InFlight is the simple request.Flow (--enable-priority-and-fairness=false): so many requests that read and so many that write at a time; others
// are refused, save those of administrators.
type InFlight struct{ reading, writing chan struct{} }

// NewInFlight makes one; a limit of zero is none.
func NewInFlight(reading, writing int) *InFlight {
	f := &InFlight{}
	if reading > 0 {
		f.reading = make(chan struct{}, reading)
	}
	if writing > 0 {
		f.writing = make(chan struct{}, writing)
	}
	return f
}

// Enter is request.Flow.
func (f *InFlight) Enter(w http.ResponseWriter, _ *http.Request, s *request.State) (request.Ticket, bool) {
	places := f.reading
	if isMutating(s.Verb) {
		places = f.writing
	}
	if places == nil || s.Verb == "watch" {
		return nil, true
	}
	select {
	case places <- struct{}{}:
		return place(places), true
	default:
	}
	if slices.Contains(s.User.Groups, "system:masters") {
		return nil, true
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
	return nil, false
}

// place is one of the requests in flight.
type place chan struct{}

// Leave is request.Ticket: only watches leave early, and they have no place.
func (place) Leave() {}

// End is request.Ticket.
func (p place) End() { <-p }
