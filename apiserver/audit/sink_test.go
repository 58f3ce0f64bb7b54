package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kept is a sink that keeps batches.
type kept struct {
	mu      sync.Mutex
	batches [][]*Event
	fail    bool
	hold    chan struct{} // if set, write waits for it
}

func (k *kept) write(events []*Event) bool {
	if k.hold != nil {
		<-k.hold
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.batches = append(k.batches, events)
	return !k.fail
}

func (k *kept) close() {}

func (k *kept) sizes() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var sizes []int
	for _, batch := range k.batches {
		sizes = append(sizes, len(batch))
	}
	return fmt.Sprint(sizes)
}

func some(n int) []*Event {
	events := make([]*Event, n)
	for i := range events {
		events[i] = &Event{AuditID: fmt.Sprint(i)}
	}
	return events
}

func TestBatchesAreFullOrClosed(t *testing.T) {
	t.Parallel()
	to := &kept{}
	b := (&batching{sink: to, name: "test", size: 3, wait: time.Hour, buffer: make(chan *Event, 10)}).start()
	b.write(some(7))
	b.close()
	if got := to.sizes(); got != "[3 3 1]" {
		t.Errorf("batches of %s events, want [3 3 1]", got)
	}
	if !b.write(some(1)) || to.sizes() != "[3 3 1]" {
		t.Error("after its end the buffer took more, or refused a request")
	}
}

func TestAFullBufferLosesEventsNotTime(t *testing.T) {
	t.Parallel()
	to := &kept{hold: make(chan struct{})}
	b := (&batching{sink: to, name: "test", size: 1, buffer: make(chan *Event, 2)}).start()
	for range 20 {
		if !b.write(some(1)) {
			t.Error("a request was refused")
		}
	}
	close(to.hold)
	b.close()
	if n := len(to.batches); n < 2 || n > 3 {
		t.Errorf("%d events came through, want the two of the buffer and at most the one being written", n)
	}
}

func TestModesDecideWhatAFailureMeans(t *testing.T) {
	t.Parallel()
	for mode, goesOn := range map[string]bool{modeBatch: true, modeBlocking: true, modeStrict: false} {
		wrapped := (&delivery{mode: mode, buffer: 1, size: 1}).wrap("test", &kept{fail: true}, false)
		if got := wrapped.write(some(1)); got != goesOn {
			t.Errorf("%s: the request goes on: %v, want %v", mode, got, goesOn)
		}
		wrapped.close()
	}
}

func TestLargeEventsAreTruncated(t *testing.T) {
	t.Parallel()
	big := func(fill string) json.RawMessage { return json.RawMessage(`"` + strings.Repeat(fill, 2000) + `"`) }
	events := []*Event{
		{AuditID: "small"},
		{AuditID: "objects", RequestObject: big("x"), Annotations: map[string]string{"a": "b"}},
		{AuditID: "hopeless", RequestURI: string(big("y"))},
		{AuditID: "last"},
	}
	to := &kept{}
	limit := &truncating{sink: to, maxEvent: 1500, maxBatch: 350}
	if !limit.write(events) {
		t.Error("a request was refused")
	}
	var ids []string
	for _, batch := range to.batches {
		for _, event := range batch {
			ids = append(ids, event.AuditID)
			if event.AuditID == "objects" && (event.RequestObject != nil || event.Annotations[truncatedKey] != "true" || event.Annotations["a"] != "b") {
				t.Errorf("truncated: %+v", event)
			}
		}
	}
	if got := strings.Join(ids, " "); got != "small objects last" || len(to.batches) < 2 {
		t.Errorf("%s in %d batches", got, len(to.batches))
	}
	if events[1].RequestObject == nil || events[1].Annotations[truncatedKey] != "" {
		t.Error("another sink's event was changed")
	}
}

// failing is a full disk.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestLinesOfTheLog(t *testing.T) {
	t.Parallel()
	event := &Event{
		TypeMeta: metav1.TypeMeta{Kind: "Event", APIVersion: apiVersion}, Level: Metadata, AuditID: "id", Stage: ResponseComplete, Verb: "get",
		RequestURI: "/api/v1/namespaces/d/pods/p", ResponseStatus: &metav1.Status{Code: 200}, ObjectRef: &ObjectReference{Resource: "pods", Namespace: "d", Name: "p"},
		RequestReceivedTimestamp: metav1.NewMicroTime(time.Unix(0, 0).UTC()), StageTimestamp: metav1.NewMicroTime(time.Unix(0, 1000).UTC()),
	}
	event.User.Username, event.User.Groups, event.SourceIPs = "jane", []string{"a", "b"}, []string{"192.0.2.1"}
	for format, test := range map[string]struct {
		line func(*Event) ([]byte, error)
		want string
	}{
		"json": {jsonLine, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"id","stage":"ResponseComplete",` +
			`"requestURI":"/api/v1/namespaces/d/pods/p","verb":"get","user":{"username":"jane","groups":["a","b"]},"sourceIPs":["192.0.2.1"],` +
			`"objectRef":{"resource":"pods","namespace":"d","name":"p"},"responseStatus":{"metadata":{},"code":200},` +
			`"requestReceivedTimestamp":"1970-01-01T00:00:00.000000Z","stageTimestamp":"1970-01-01T00:00:00.000001Z"}` + "\n"},
		"legacy": {legacyLine, `1970-01-01T00:00:00Z AUDIT: id="id" stage="ResponseComplete" ip="192.0.2.1" method="get" user="jane" groups="\"a\",\"b\"" ` +
			`as="<self>" asgroups="<lookup>" user-agent="" namespace="d" uri="/api/v1/namespaces/d/pods/p" response="200"` + "\n"},
	} {
		var out bytes.Buffer
		to := &file{out: &out, line: test.line}
		if !to.write([]*Event{event}) || out.String() != test.want {
			t.Errorf("%s:\n%swant\n%s", format, out.String(), test.want)
		}
	}
	if (&file{out: failing{}, line: jsonLine}).write([]*Event{event}) {
		t.Error("a full disk counted as written")
	}
}

func TestManagedFieldsAreTakenOut(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"metadata":{"managedFields":[1],"name":"a"},"spec":1}`:  `{"metadata":{"name":"a"},"spec":1}`,
		`{"items":[{"metadata":{"managedFields":[]}}]}`:           `{"items":[{"metadata":{}}]}`,
		`{"rows":[{"object":{"metadata":{"managedFields":[]}}}]}`: `{"rows":[{"object":{"metadata":{}}}]}`,
		`[{"op":"test"}]`: `[{"op":"test"}]`,
	} {
		if got := string(withoutManagedFields(json.RawMessage(in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	for _, mediaType := range []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/plain"} {
		f.Add([]byte(`{"kind":"Pod","apiVersion":"v1"}`), mediaType, false)
		f.Add([]byte("k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x00\x1a\x00\x22\x00"), mediaType, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, mediaType string, zipped bool) {
		header := http.Header{"Content-Type": {mediaType}}
		if zipped {
			header.Set("Content-Encoding", "gzip")
		}
		object, err := decodeAnswer(body, header)
		if err == nil && object != nil && !json.Valid(withoutManagedFields(object)) {
			t.Errorf("%q is no JSON", object)
		}
	})
}
