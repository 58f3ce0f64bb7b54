package rest

import (
	"encoding/binary"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// nested is a message within a message, and so on.
func nested(depth int) []byte {
	message := make([]byte, 0, 8*depth)
	for range depth { // written from the inside, backwards
		length := binary.AppendUvarint(nil, uint64(len(message)))
		for i := len(length) - 1; i >= 0; i-- {
			message = append(message, length[i])
		}
		message = append(message, 0x0a)
	}
	for i, j := 0, len(message)-1; i < j; i, j = i+1, j-1 {
		message[i], message[j] = message[j], message[i]
	}
	return message
}

func TestMessagesAreNotReadDeeperThanTheStackAllows(t *testing.T) {
	t.Parallel()
	if err := checkDepth(nested(500), 1000); err != nil {
		t.Errorf("500 levels: %v", err)
	}
	if err := checkDepth(nested(2000), 1000); !errors.Is(err, errTooDeep) {
		t.Errorf("2000 levels: %v", err)
	}
	if err := checkDepth(nested(500_000), maxDepth); !errors.Is(err, errTooDeep) {
		t.Errorf("a body full of levels: %v", err)
	}
}

// TestRealObjectsAreNotTooDeep though what looks like a message is taken for one.
func TestRealObjectsAreNotTooDeep(t *testing.T) {
	t.Parallel()
	schema := &apiextensionsv1.JSONSchemaProps{Type: "string", Description: "plain text, which is no message"}
	for range 100 {
		schema = &apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"a": *schema}}
	}
	raw, err := schema.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkDepth(raw, 1000); err != nil {
		t.Error(err)
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: make([]corev1.Container, 100)}}
	if raw, err = pod.Marshal(); err != nil {
		t.Fatal(err)
	}
	if err := checkDepth(raw, 20); err != nil {
		t.Error(err)
	}
}

// FuzzDepth: any bytes are looked through without end or panic, and a small limit refuses no less than a large one.
func FuzzDepth(f *testing.F) {
	f.Add(nested(10))
	f.Add([]byte("\x0a\x05hello\x10\x01"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if checkDepth(message, 3) == nil && checkDepth(message, 30) != nil {
			t.Error("deeper than 30 but not than 3")
		}
	})
}
