// Package csi speaks the node's part of the Container Storage Interface 1.x with drivers that have registered, and tells the API server
// about them (CSINode). The few messages that a node needs are written and read here field by field, after csi.proto.
package csi

import (
	"fmt"
	"sort"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is an encoded protobuf message.
type message []byte

func (m message) text(field protowire.Number, value string) message {
	if value == "" {
		return m
	}
	return protowire.AppendString(protowire.AppendTag(m, field, protowire.BytesType), value)
}

func (m message) number(field protowire.Number, value uint64) message {
	if value == 0 {
		return m
	}
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), value)
}

// nest adds a message, which may be empty: that it is there can mean something.
func (m message) nest(field protowire.Number, inner message) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), inner)
}

// table adds a map of strings, in order, so that equal requests are equal bytes.
func (m message) table(field protowire.Number, values map[string]string) message {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		m = m.nest(field, message{}.text(1, key).text(2, values[key]))
	}
	return m
}

// field is one field of a decoded message.
type field struct {
	number protowire.Number
	value  uint64  // of numbers
	bytes  message // of strings and messages
}

// fields takes a message apart. Fields of other types than CSI uses are left out.
func (m message) fields() ([]field, error) {
	var list []field
	for len(m) > 0 {
		number, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return nil, fmt.Errorf("CSI message: %w", protowire.ParseError(n))
		}
		m = m[n:]
		f := field{number: number}
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(m)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(m)
		default:
			n = protowire.ConsumeFieldValue(number, kind, m)
		}
		if n < 0 {
			return nil, fmt.Errorf("CSI message: %w", protowire.ParseError(n))
		}
		m = m[n:]
		list = append(list, f)
	}
	return list, nil
}

// codec passes messages through gRPC as they are.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) ([]byte, error) {
	m, ok := v.(*message)
	if !ok {
		return nil, fmt.Errorf("CSI message is a %T", v)
	}
	return *m, nil
}

func (codec) Unmarshal(data []byte, v any) error {
	m, ok := v.(*message)
	if !ok {
		return fmt.Errorf("CSI message is a %T", v)
	}
	*m = append(message(nil), data...)
	return nil
}
