package store

import (
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/septet-io/septet/resource"
)

// Item is an object as the cache holds it: immutable, with its revision and the encodings made so far.
type Item struct {
	Key Key
	// Object has apiVersion, kind and its resourceVersion (Revision) set. Never change it.
	Object   resource.Object
	Revision int64

	// sum is a hash of the stored bytes, by which a write that changes nothing is noticed.
	sum uint64
	// generation of the Transformer by which the stored bytes are just as it would write them; 0: they are not. Then
	// even a write that changes nothing is one.
	generation uint32

	encodings atomic.Pointer[encoded]
}

// encoded is a list, since an item has one or two encodings at most times.
type encoded struct {
	name string
	next *encoded

	once  sync.Once
	bytes []byte
	err   error
}

// Encoded returns the object's bytes in an Encoding, made once (however many ask at the same time) and shared: never
// change them. They are kept within a bound over all of the process, see KeepEncodings.
func (i *Item) Encoded(encoding Encoding) ([]byte, error) {
	head := i.encodings.Load()
	for e := head; e != nil; e = e.next {
		if e.name == encoding.Name {
			return e.get(i, encoding)
		}
	}
	e := &encoded{name: encoding.Name, next: head}
	if !i.encodings.CompareAndSwap(head, e) {
		// Someone else was faster, and perhaps with the same encoding.
		return i.Encoded(encoding)
	}
	bytes, err := e.get(i, encoding)
	if err != nil {
		i.forget() // a webhook may convert it the next time
		return nil, err
	}
	kept.add(i, len(bytes))
	return bytes, nil
}

// IsEncoded says whether somebody has asked for the object's bytes in an Encoding already.
func (i *Item) IsEncoded(encoding Encoding) bool {
	for e := i.encodings.Load(); e != nil; e = e.next {
		if e.name == encoding.Name {
			return true
		}
	}
	return false
}

// Passing returns the object's bytes in an Encoding without keeping them, unless somebody had them made: for answers so long that
// what they are made of would only push out what others come back to.
func (i *Item) Passing(encoding Encoding) ([]byte, error) {
	for e := i.encodings.Load(); e != nil; e = e.next {
		if e.name == encoding.Name {
			return e.get(i, encoding)
		}
	}
	return encoding.Encode(i.Object)
}

func (e *encoded) get(i *Item, encoding Encoding) ([]byte, error) {
	e.once.Do(func() { e.bytes, e.err = encoding.Encode(i.Object) })
	return e.bytes, e.err
}

// forget drops the encodings; those who have them go on using them.
func (i *Item) forget() { i.encodings.Store(nil) }

// at returns the same object at a later revision: what a deletion shows, or an object that leaves a selection.
func (i *Item) at(revision int64) *Item {
	copied := shallow(i.Object)
	copied.SetResourceVersion(formatRevision(revision))
	return &Item{Key: i.Key, Object: copied, Revision: revision, sum: i.sum}
}

// shallow copies an object so far that its metadata's own fields may be set.
func shallow(obj resource.Object) resource.Object {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		content := make(map[string]any, len(u.Object))
		for key, value := range u.Object {
			content[key] = value
		}
		if metadata, ok := u.Object["metadata"].(map[string]any); ok {
			copied := make(map[string]any, len(metadata)+1)
			for key, value := range metadata {
				copied[key] = value
			}
			content["metadata"] = copied
		}
		return &unstructured.Unstructured{Object: content}
	}
	original := reflect.ValueOf(obj).Elem()
	copied := reflect.New(original.Type())
	copied.Elem().Set(original)
	return copied.Interface().(resource.Object)
}

func formatRevision(revision int64) string { return strconv.FormatInt(revision, 10) }

// kindSetter sets apiVersion and kind with strings that all objects of a kind share.
type kindSetter struct{ apiVersion, kind string }

func newKindSetter(kind *resource.Kind) kindSetter {
	apiVersion, name := kind.GroupVersionKind.ToAPIVersionAndKind()
	return kindSetter{apiVersion, name}
}

func (k kindSetter) set(obj resource.Object) {
	switch meta := obj.GetObjectKind().(type) {
	case *metav1.TypeMeta:
		meta.APIVersion, meta.Kind = k.apiVersion, k.kind
	case *unstructured.Unstructured:
		// Custom resources carry them: they lie in etcd in the version in which they were written.
		if meta.GetKind() == "" {
			meta.SetAPIVersion(k.apiVersion)
			meta.SetKind(k.kind)
		}
	}
}
