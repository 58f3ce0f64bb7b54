package encrypt

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// encryptedObject is what is stored behind the prefix: one small message, written and read here field by field. The plug-in's own
// messages are those of k8s.io/kms.
type encryptedObject struct {
	data        []byte
	keyID       string
	seed        []byte
	annotations map[string][]byte
	sourceType  uint64
}

// How the key of stored data is found: it is the decrypted seed itself, or derived from it by HKDF.
const (
	plainKey        = 0
	derivedFromSeed = 1
)

func (m *encryptedObject) append(to []byte) []byte {
	to = appendBytes(appendBytes(appendBytes(to, 1, m.data), 2, m.keyID), 3, m.seed)
	to = appendMap(to, 4, m.annotations)
	if m.sourceType != 0 {
		to = protowire.AppendVarint(protowire.AppendTag(to, 5, protowire.VarintType), m.sourceType)
	}
	return to
}

// parse keeps slices of data.
func (m *encryptedObject) parse(data []byte) error {
	return fields(data, func(n protowire.Number, v []byte, number uint64) (err error) {
		switch n {
		case 1:
			m.data = v
		case 2:
			m.keyID = string(v)
		case 3:
			m.seed = v
		case 4:
			m.annotations, err = addEntry(m.annotations, v)
		case 5:
			m.sourceType = number
		}
		return err
	})
}

// fields calls visit for each field with the bytes or the number that it has.
func fields(data []byte, visit func(protowire.Number, []byte, uint64) error) error {
	for len(data) > 0 {
		number, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		var value []byte
		var integer uint64
		switch typ {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			integer, n = protowire.ConsumeVarint(data)
		default:
			n = protowire.ConsumeFieldValue(number, typ, data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if err := visit(number, value, integer); err != nil {
			return err
		}
	}
	return nil
}

func appendBytes[T string | []byte](to []byte, number protowire.Number, value T) []byte {
	if len(value) == 0 {
		return to
	}
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), []byte(value))
}

func appendMap(to []byte, number protowire.Number, values map[string][]byte) []byte {
	for key, value := range values {
		to = appendBytes(to, number, appendBytes(appendBytes(nil, 1, key), 2, value))
	}
	return to
}

func addEntry(values map[string][]byte, data []byte) (map[string][]byte, error) {
	var key string
	var value []byte
	err := fields(data, func(n protowire.Number, v []byte, _ uint64) error {
		switch n {
		case 1:
			key = string(v)
		case 2:
			value = clone(v)
		}
		return nil
	})
	if values == nil {
		values = map[string][]byte{}
	}
	values[key] = value
	return values, err
}

func clone(v []byte) []byte { return append([]byte(nil), v...) }
