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
