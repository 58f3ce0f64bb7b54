package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/septet-io/septet/apiserver/request"
)

// whole says whether a request of this process is answered at once and whole: a write. Its handler runs on the caller's goroutine, whose
// stack has grown to what that takes; a goroutine for each would grow one anew. Reads may stream, and so may what goes to a node or a Pod.
func whole(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		info := request.Parse(r)
		return !longRunning(&info)
	}
	return false
}

// serveWhole answers a write. When the caller gives up, the handler is told by its context, and ends.
func (t *localTransport) serveWhole(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	answer := &wholeAnswer{header: http.Header{}}
	if err := t.serve(answer, served, &localCaller{user: t.user}); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", answer.code, http.StatusText(answer.code)), StatusCode: answer.code, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: answer.header, ContentLength: int64(answer.body.Len()), Body: io.NopCloser(&answer.body), Request: r,
	}, nil
}

// serve runs the handler to its end. The request is the handler's. A caller who has given up learns nothing but that.
func (t *localTransport) serve(answer *wholeAnswer, r *http.Request, caller *localCaller) error {
	asked := r.Context()
	if err := t.handle(answer, r.WithContext(context.WithValue(asked, localCaller{}, caller))); err != nil {
		return err
	}
	answer.WriteHeader(http.StatusOK)
	return asked.Err()
}

const mediaProtobuf = "application/vnd.kubernetes.protobuf"

// Post is client.Poster.
func (t *localTransport) Post(ctx context.Context, path string, obj runtime.Object) error {
	body, err := request.Encode(request.Accept{Format: request.Protobuf}, obj.GetObjectKind().GroupVersionKind(), obj)
	if err != nil {
		return err
	}
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: path}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {mediaProtobuf}, "Accept": {mediaProtobuf}, "User-Agent": {t.user.Name}},
	}
	answer := &wholeAnswer{header: http.Header{}}
	if err := t.serve(answer, r.WithContext(ctx), &localCaller{user: t.user, unread: true}); err != nil || answer.code < http.StatusBadRequest {
		return err
	}
	told, _, err := scheme.Codecs.UniversalDeserializer().Decode(answer.body.Bytes(), nil, nil)
	if status, ok := told.(*metav1.Status); ok {
		return &apierrors.StatusError{ErrStatus: *status}
	}
	return errors.Join(fmt.Errorf("POST %s: %d %s", path, answer.code, http.StatusText(answer.code)), err)
}

// wholeAnswer is a ResponseWriter that keeps all.
type wholeAnswer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header is http.ResponseWriter.
func (a *wholeAnswer) Header() http.Header { return a.header }

// WriteHeader is http.ResponseWriter.
func (a *wholeAnswer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
}

// Write is http.ResponseWriter.
func (a *wholeAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// Flush is http.Flusher: nobody reads before the end.
func (*wholeAnswer) Flush() {}
