package store

import (
	"sync/atomic"

	"github.com/septet-io/septet/resource"
)

// Item is an object as the cache holds it: immutable, with its revision and the encodings made so far.
type Item struct {
	Key Key
	// Object has its resourceVersion set to Revision. Never change it.
	Object   resource.Object
	Revision int64

	encodings atomic.Pointer[encoded]
}

// encoded is a list, since an item has one or two encodings at most times.
type encoded struct {
	name  string
	bytes []byte
	next  *encoded
}

// Encoded returns the object's bytes in an Encoding, made once and shared: never change them.
func (i *Item) Encoded(encoding Encoding) ([]byte, error) {
	for e := i.encodings.Load(); e != nil; e = e.next {
		if e.name == encoding.Name {
			return e.bytes, nil
		}
	}
	bytes, err := encoding.Encode(i.Object)
	if err != nil {
		return nil, err
	}
	head := i.encodings.Load()
	// Losing this race costs one more encoding later, never a wrong one.
	i.encodings.CompareAndSwap(head, &encoded{name: encoding.Name, bytes: bytes, next: head})
	return bytes, nil
}
