package audit

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/yaml"
)

// kinds decodes protobuf answers. It is built when the first of them is recorded.
var kinds = sync.OnceValue(func() runtime.Decoder {
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme, metav1.AddMetaToScheme} {
		if err := add(all); err != nil {
			panic(err) // the same kinds at each start
		}
	}
	metav1.AddToGroupVersion(all, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(all).UniversalDeserializer()
})

// decodeAnswer is the JSON of an answer's object; nil if the answer is no object, as a log is not.
func decodeAnswer(body []byte, header http.Header) (json.RawMessage, error) {
	if header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gunzip(body)
		if err != nil {
			return nil, err
		}
		body = unzipped
	}
	mediaType, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	switch mediaType {
	case "application/json":
		return compact(body)
	case "application/yaml":
		asJSON, err := yaml.YAMLToJSON(body)
		return asJSON, err
	case "application/vnd.kubernetes.protobuf":
		obj, gvk, err := kinds().Decode(body, nil, nil)
		if err != nil {
			return nil, err
		}
		obj.GetObjectKind().SetGroupVersionKind(*gvk)
		return json.Marshal(obj)
	}
	return nil, nil
}

func gunzip(body []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(reader, longestAnswer+1))
	if err == nil && len(plain) > longestAnswer {
		err = fmt.Errorf("it is larger than %d bytes", longestAnswer)
	}
	return plain, err
}

// compact makes JSON one line, which the log's form needs.
func compact(body []byte) (json.RawMessage, error) {
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		return nil, err
	}
	return line.Bytes(), nil
}

// asJSON is a patch as JSON: server-side apply's are YAML.
func asJSON(patch []byte) json.RawMessage {
	if line, err := compact(patch); err == nil {
		return line
	}
	converted, err := yaml.YAMLToJSON(patch)
	if err != nil {
		return nil // the client is told so
	}
	return converted
}

// withoutManagedFields takes metadata.managedFields out of an object, a list's items or a Table's rows.
func withoutManagedFields(object json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return object
	}
	var metadata map[string]json.RawMessage
	if json.Unmarshal(fields["metadata"], &metadata) == nil && metadata["managedFields"] != nil {
		delete(metadata, "managedFields")
		fields["metadata"] = mustMarshal(metadata)
	}
	var items []json.RawMessage
	if json.Unmarshal(fields["items"], &items) == nil && items != nil {
		for i := range items {
			items[i] = withoutManagedFields(items[i])
		}
		fields["items"] = mustMarshal(items)
	}
	var rows []map[string]json.RawMessage
	if json.Unmarshal(fields["rows"], &rows) == nil && rows != nil {
		for _, row := range rows {
			if row["object"] != nil {
				row["object"] = withoutManagedFields(row["object"])
			}
		}
		fields["rows"] = mustMarshal(rows)
	}
	return mustMarshal(fields)
}

// mustMarshal writes what json.Unmarshal has read.
func mustMarshal(v any) json.RawMessage {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return encoded
}
