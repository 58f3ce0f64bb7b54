package store

import (
	"encoding/base64"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/septet-io/septet/resource"
)

// FuzzToken: a continue token from a client is refused, or names a key of the kind and comes back the same.
func FuzzToken(f *testing.F) {
	f.Add(newToken("", Key{"a", "b"}, 7), "")
	f.Add(newToken("a", Key{"a", "b"}, -1), "a")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"v":"meta.k8s.io/v1","rv":1,"start":"../secrets/x"}`)), "")
	f.Fuzz(func(t *testing.T, text, namespace string) {
		parsed, err := parseToken(text, namespace)
		if err != nil {
			return
		}
		again, err := parseToken(newTokenAt(namespace, parsed.start, parsed.revision), namespace)
		if err != nil || again != parsed {
			t.Fatalf("%+v came back as %+v, %v", parsed, again, err)
		}
	})
}

// FuzzDecode: whatever lies in etcd is decoded or refused.
func FuzzDecode(f *testing.F) {
	pods := resource.Define(resource.Definition[*corev1.Pod]{Version: "v1", Kind: "Pod", Plural: "pods", Scope: resource.Namespaced})
	widgets := resource.Define(resource.Definition[*unstructured.Unstructured]{
		Group: "example.com", Version: "v1", Kind: "Widget", Plural: "widgets", Scope: resource.Namespaced,
	})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"a": "b"}}}
	stored, err := ProtobufCodec(pods).Encode(pod)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stored)
	f.Add([]byte(`{"metadata":{"name":"a","labels":{"a":"b"}},"spec":[1,2.5,null]}`))
	codecs := []Codec{ProtobufCodec(pods), JSONCodec(widgets)}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, codec := range codecs {
			obj, err := codec.Decode(data)
			if err != nil {
				continue
			}
			intern(obj, nil)
			if _, err := codec.Encode(obj); err != nil {
				t.Fatal(err)
			}
		}
	})
}
