package request

import "net/http"

// PartsWriter is a ResponseWriter that takes a piece of the body in several parts, and keeps none of them.
type PartsWriter interface {
	WriteParts(parts ...[]byte) error
}

// WriteParts writes a piece of the body that lies in several places, without putting it together first where w can do so.
func WriteParts(w http.ResponseWriter, parts ...[]byte) error {
	if whole, ok := w.(PartsWriter); ok {
		return whole.WriteParts(parts...)
	}
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// Offerer is a ResponseWriter of a long stream that others than its handler may add to, without waiting.
type Offerer interface {
	// Offer adds a piece of the body if that takes no waiting; else it does nothing, and the handler has to Write. Head and tail are
	// copied; shared is kept until it is sent, and may never change. It is sent when later is flushed; with a nil later somebody else
	// has been given that to do. What is offered to several streams of a connection before goes out as one.
	Offer(head, shared, tail []byte) (taken bool, later Flusher)
}

// Flusher sends what was offered, without waiting.
type Flusher = interface{ Flush() }

// OffererOf returns what to offer to, through all that wraps it; nil if w takes no offers.
func OffererOf(w http.ResponseWriter) Offerer {
	offerer, ok := w.(Offerer)
	if !ok {
		return nil
	}
	if outer, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok && OffererOf(outer.Unwrap()) == nil {
		return nil
	}
	return offerer
}
