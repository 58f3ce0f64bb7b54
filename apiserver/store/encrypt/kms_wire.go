package encrypt

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of the plug-in's service (package v2, KeyManagementService) and of stored data are few and small: they are
// written and read here field by field.

type message interface {
	append(to []byte) []byte
	parse(data []byte) error
}

// wire is the gRPC codec of these messages.
type wire struct{}

// Name is that of protobuf, which this is.
func (wire) Name() string { return "proto" }

// Marshal writes a message.
func (wire) Marshal(v any) ([]byte, error) {
	m, ok := v.(message)
	if !ok {
		return nil, errMessage
	}
	return m.append(nil), nil
}

// Unmarshal reads one.
func (wire) Unmarshal(data []byte, v any) error {
	m, ok := v.(message)
	if !ok {
		return errMessage
	}
	return m.parse(data)
}

type (
	statusRequest  struct{}
	statusResponse struct{ version, healthz, keyID string }
	encryptRequest struct {
		plaintext []byte
		uid       string
	}
	encryptResponse struct {
		ciphertext  []byte
		keyID       string
		annotations map[string][]byte
	}
	decryptRequest struct {
		ciphertext  []byte
		uid, keyID  string
		annotations map[string][]byte
	}
	decryptResponse struct{ plaintext []byte }

	// encryptedObject is what is stored behind the prefix.
	encryptedObject struct {
		data        []byte
		keyID       string
		seed        []byte
		annotations map[string][]byte
		sourceType  uint64
	}
)

// How the key of stored data is found: it is the decrypted seed itself, or derived from it by HKDF.
const (
	plainKey        = 0
	derivedFromSeed = 1
)

func (*statusRequest) append(to []byte) []byte { return to }
func (*statusRequest) parse([]byte) error      { return nil }

func (m *statusResponse) append(to []byte) []byte {
	return appendBytes(appendBytes(appendBytes(to, 1, m.version), 2, m.healthz), 3, m.keyID)
}

func (m *statusResponse) parse(data []byte) error {
	return fields(data, func(n protowire.Number, v []byte, _ uint64) error {
		switch n {
		case 1:
			m.version = string(v)
		case 2:
			m.healthz = string(v)
		case 3:
			m.keyID = string(v)
		}
		return nil
	})
}

func (m *encryptRequest) append(to []byte) []byte {
	return appendBytes(appendBytes(to, 1, m.plaintext), 2, m.uid)
}

func (m *encryptRequest) parse(data []byte) error {
	return fields(data, func(n protowire.Number, v []byte, _ uint64) error {
		switch n {
		case 1:
			m.plaintext = clone(v)
		case 2:
			m.uid = string(v)
		}
		return nil
	})
}

func (m *encryptResponse) append(to []byte) []byte {
	return appendMap(appendBytes(appendBytes(to, 1, m.ciphertext), 2, m.keyID), 3, m.annotations)
}

func (m *encryptResponse) parse(data []byte) error {
	return fields(data, func(n protowire.Number, v []byte, _ uint64) (err error) {
		switch n {
		case 1:
			m.ciphertext = clone(v)
		case 2:
			m.keyID = string(v)
		case 3:
			m.annotations, err = addEntry(m.annotations, v)
		}
		return err
	})
}

func (m *decryptRequest) append(to []byte) []byte {
	to = appendBytes(appendBytes(appendBytes(to, 1, m.ciphertext), 2, m.uid), 3, m.keyID)
	return appendMap(to, 4, m.annotations)
}

func (m *decryptRequest) parse(data []byte) error {
	return fields(data, func(n protowire.Number, v []byte, _ uint64) (err error) {
		switch n {
		case 1:
			m.ciphertext = clone(v)
		case 2:
			m.uid = string(v)
		case 3:
			m.keyID = string(v)
		case 4:
			m.annotations, err = addEntry(m.annotations, v)
		}
		return err
	})
}

func (m *decryptResponse) append(to []byte) []byte { return appendBytes(to, 1, m.plaintext) }

func (m *decryptResponse) parse(data []byte) error {
	return fields(data, func(n protowire.Number, v []byte, _ uint64) error {
		if n == 1 {
			m.plaintext = clone(v)
		}
		return nil
	})
}

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
