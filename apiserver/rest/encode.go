package rest

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// form is how the bytes of one object that all answers share are encoded.
type form int

// JSON has kind and apiVersion first, so that lists can cut them off; protobuf is the message without envelope. The
// partial forms are PartialObjectMetadata.
const (
	formJSON form = iota
	formProtobuf
	formPartialJSON
	formPartialProtobuf
	formats
)

var partialKind = schema.GroupVersionKind{Group: "meta.k8s.io", Version: "v1", Kind: "PartialObjectMetadata"}

// encodings returns the forms of a kind. Their names hold the version, since kinds that share a Store share its Items.
func (r *Resource) encodings() [formats]store.Encoding {
	version := r.GroupVersionKind.GroupVersion().String()
	forms := [formats]store.Encoding{
		formJSON:            {Name: "json;" + version, Encode: r.encodeJSON},
		formProtobuf:        {Name: "protobuf;" + version, Encode: r.encodeProtobuf},
		formPartialJSON:     {Name: "json;partial", Encode: encodePartialJSON},
		formPartialProtobuf: {Name: "protobuf;partial", Encode: encodePartialProtobuf},
	}
	if r.Custom != nil && r.Custom.Batch { // a webhook may change labels and annotations
		for _, f := range []form{formPartialJSON, formPartialProtobuf} {
			encode := forms[f].Encode
			forms[f].Name += ";" + version
			forms[f].Encode = func(obj resource.Object) ([]byte, error) {
				served, err := r.outward(obj)
				if err != nil {
					return nil, err
				}
				return encode(served)
			}
		}
	}
	return forms
}

// jsonHead is how the JSON of every object of a kind begins.
func jsonHead(gvk schema.GroupVersionKind) string {
	version, kind := gvk.ToAPIVersionAndKind()
	return fmt.Sprintf(`{"kind":%q,"apiVersion":%q`, kind, version)
}

func (r *Resource) encodeJSON(obj resource.Object) ([]byte, error) {
	obj, err := r.outward(obj)
	if err != nil {
		return nil, err
	}
	return marshalJSON(r.GroupVersionKind, obj)
}

// marshalJSON writes an object whose TypeMeta may be unset, without changing it: TypeMeta is first in every typed
// object and left out when empty, so its JSON can be put in front.
func marshalJSON(gvk schema.GroupVersionKind, obj resource.Object) ([]byte, error) {
	body, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	if obj.GetObjectKind().GroupVersionKind().Kind != "" {
		return body, nil
	}
	head := jsonHead(gvk)
	joined := make([]byte, 0, len(head)+len(body))
	joined = append(joined, head...)
	if len(body) > len("{}") {
		joined = append(joined, ',')
	}
	return append(joined, body[1:]...), nil
}

// message is what generated types implement.
type message interface {
	Size() int
	Marshal() ([]byte, error)
}

func (r *Resource) encodeProtobuf(obj resource.Object) ([]byte, error) {
	obj, err := r.outward(obj)
	if err != nil {
		return nil, err
	}
	m, ok := obj.(message)
	if !ok {
		return nil, fmt.Errorf("%s has no protobuf form", r.GroupVersionKind.Kind)
	}
	return m.Marshal()
}

// protobufSize is the length of what encodeProtobuf makes.
func (r *Resource) protobufSize(obj resource.Object) (int, error) {
	obj, err := r.outward(obj)
	if err != nil {
		return 0, err
	}
	m, ok := obj.(message)
	if !ok {
		return 0, fmt.Errorf("%s has no protobuf form", r.GroupVersionKind.Kind)
	}
	return m.Size(), nil
}

func partialSize(obj resource.Object) (int, error) { return partial(obj).Size(), nil }

func partial(obj resource.Object) *metav1.PartialObjectMetadata {
	p := meta.AsPartialObjectMetadata(obj)
	p.SetGroupVersionKind(partialKind)
	return p
}

func encodePartialJSON(obj resource.Object) ([]byte, error) { return json.Marshal(partial(obj)) }

func encodePartialProtobuf(obj resource.Object) ([]byte, error) { return partial(obj).Marshal() }
