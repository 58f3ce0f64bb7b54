package store

import (
	"bytes"
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/septet-io/septet/resource"
)

// Codec turns objects into what lies in etcd and back. Encode gets objects without resourceVersion.
type Codec interface {
	Encode(resource.Object) ([]byte, error)
	// Decode must not keep data.
	Decode(data []byte) (resource.Object, error)
}

// Transformer changes bytes on their way to and from etcd: encryption at rest. The etcd key is authenticated with them,
// so that a value cannot be moved to another object's key. If it also has Generation() uint32, that changes whenever what
// it writes with does.
type Transformer interface {
	ToStorage(ctx context.Context, key string, data []byte) ([]byte, error)
	// FromStorage says stale when the bytes should be written again: they are plain, or under an older key.
	FromStorage(ctx context.Context, key string, data []byte) (plain []byte, stale bool, err error)
}

// envelope is what begins protobuf in etcd and on the wire: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
var envelope = []byte("k8s\x00")

type protobufMessage interface {
	resource.Object
	Size() int
	MarshalTo([]byte) (int, error)
	MarshalToSizedBuffer([]byte) (int, error)
	Unmarshal([]byte) error
}

type protobufCodec struct {
	kind *resource.Kind
	typ  runtime.TypeMeta
}

// ProtobufCodec is upstream's form of built-in kinds: an envelope with apiVersion and kind around the message.
// It reads JSON too, as a server with --storage-media-type=application/json leaves it.
func ProtobufCodec(kind *resource.Kind) Codec {
	apiVersion, name := kind.GroupVersionKind.ToAPIVersionAndKind()
	return protobufCodec{kind, runtime.TypeMeta{APIVersion: apiVersion, Kind: name}}
}

// Encode allocates once: the message is written right into its envelope.
func (c protobufCodec) Encode(obj resource.Object) ([]byte, error) {
	message, ok := obj.(protobufMessage)
	if !ok {
		return nil, fmt.Errorf("%T has no protobuf form", obj)
	}
	unknown := runtime.Unknown{TypeMeta: c.typ}
	size := uint64(message.Size())
	data := make([]byte, len(envelope)+unknown.Size()+int(size)+16)
	copy(data, envelope)
	n, err := unknown.NestedMarshalTo(data[len(envelope):], message, size)
	if err != nil {
		return nil, err
	}
	return data[:len(envelope)+n], nil
}

// Decode reads either form.
func (c protobufCodec) Decode(data []byte) (resource.Object, error) {
	obj := c.kind.New()
	if !bytes.HasPrefix(data, envelope) {
		return obj, utiljson.Unmarshal(data, obj)
	}
	typ, raw, err := openEnvelope(data[len(envelope):])
	if err != nil {
		return nil, err
	}
	if typ.Kind != c.typ.Kind || typ.APIVersion != c.typ.APIVersion {
		return nil, fmt.Errorf("stored as %s %s, which this version cannot read as %s %s",
			typ.APIVersion, typ.Kind, c.typ.APIVersion, c.typ.Kind)
	}
	message, ok := obj.(protobufMessage)
	if !ok {
		return nil, fmt.Errorf("%T has no protobuf form", obj)
	}
	if err := message.Unmarshal(raw); err != nil {
		return nil, err
	}
	return obj, nil
}

// openEnvelope finds the two fields of a runtime.Unknown that storage uses, without copying the second.
func openEnvelope(data []byte) (typ runtime.TypeMeta, raw []byte, err error) {
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return typ, nil, protowire.ParseError(n)
		}
		data = data[n:]
		if wire != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, wire, data); n < 0 {
				return typ, nil, protowire.ParseError(n)
			}
			data = data[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return typ, nil, protowire.ParseError(n)
		}
		data = data[n:]
		switch number {
		case 1:
			if err := typ.Unmarshal(value); err != nil {
				return typ, nil, err
			}
		case 2:
			raw = value
		}
	}
	return typ, raw, nil
}

type jsonCodec struct{ kind *resource.Kind }

// JSONCodec is upstream's form of custom resources, and of built-in kinds with --storage-media-type=application/json.
func JSONCodec(kind *resource.Kind) Codec { return jsonCodec{kind} }

// Encode ends with a newline as upstream's encoder does.
func (c jsonCodec) Encode(obj resource.Object) ([]byte, error) {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		return marshalLine(u.Object)
	}
	return marshalLine(obj)
}

func marshalLine(value any) ([]byte, error) {
	data, err := utiljson.Marshal(value)
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// Decode reads an object.
func (c jsonCodec) Decode(data []byte) (resource.Object, error) {
	obj := c.kind.New()
	if u, ok := obj.(*unstructured.Unstructured); ok {
		content := map[string]any{}
		if err := utiljson.Unmarshal(data, &content); err != nil {
			return nil, err
		}
		u.Object = content
		return u, nil
	}
	return obj, utiljson.Unmarshal(data, obj)
}
