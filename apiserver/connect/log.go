package connect

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
)

// log streams a container's log from its kubelet.
func (c *connector) log(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	if err := allowMethods(r, conn, http.MethodGet); err != nil {
		return err
	}
	options, errs := logOptions(request.Query(r))
	if len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "PodLogOptions"}, conn.Key.Name, errs)
	}
	pod, err := get[*corev1.Pod](r.Context(), c, podsResource, conn.Key, "")
	if err != nil {
		return err
	}
	container, err := containerOf(pod, options.Container)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName == "" {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusOK)
		return nil // nothing has been logged yet
	}
	location, err := c.kubeletURL(r.Context(), pod.Spec.NodeName)
	if err != nil {
		return err
	}
	location.Path = strings.Join([]string{"", "containerLogs", pod.Namespace, pod.Name, container}, "/")
	location.RawQuery = logQuery(options).Encode()
	return c.stream(w, r, conn, location)
}

// stream copies a kubelet's answer as it comes. An answer other than success becomes a Status with the kubelet's words.
func (c *connector) stream(w http.ResponseWriter, r *http.Request, conn *rest.Connection, location *url.URL) error {
	upstream, err := http.NewRequestWithContext(r.Context(), http.MethodGet, location.String(), nil)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	response, err := c.kubelets().RoundTrip(upstream)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 206 {
		words, _ := io.ReadAll(io.LimitReader(response.Body, 2000)) // what could be read is what can be said
		switch response.StatusCode {
		case http.StatusBadRequest:
			return apierrors.NewBadRequest(string(words))
		case http.StatusInternalServerError:
			return apierrors.NewInternalError(errors.New(string(words)))
		}
		resource := schema.GroupResource{Resource: "pods/log"}
		return apierrors.NewGenericServerResponse(response.StatusCode, r.Method, resource, conn.Key.Name, string(words), 0, true)
	}
	if websocket.IsWebSocketUpgrade(r) {
		sendMessages(w, r, response.Body)
		return nil
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	if err := copyFlushing(w, response.Body); err != nil {
		klog.FromContext(r.Context()).V(4).Info("The log ended early", "err", err)
	}
	return nil
}

// copyFlushing sends every piece as soon as it is read.
func copyFlushing(w http.ResponseWriter, from io.Reader) error {
	controller := http.NewResponseController(w)
	if err := controller.Flush(); err != nil {
		return err
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			if err := controller.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func logOptions(q url.Values) (*corev1.PodLogOptions, field.ErrorList) {
	options := &corev1.PodLogOptions{
		Container: q.Get("container"), Follow: truth(q, "follow"), Previous: truth(q, "previous"), Timestamps: truth(q, "timestamps"),
		InsecureSkipTLSVerifyBackend: truth(q, "insecureSkipTLSVerifyBackend"),
	}
	var errs field.ErrorList
	number := func(name string, least int64) *int64 {
		text := q.Get(name)
		if text == "" {
			return nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			errs = append(errs, field.Invalid(field.NewPath(name), text, "must be a number"))
			return nil
		}
		if n < least {
			errs = append(errs, field.Invalid(field.NewPath(name), n, fmt.Sprintf("must be greater than or equal to %d", least)))
		}
		return &n
	}
	options.TailLines, options.LimitBytes, options.SinceSeconds = number("tailLines", 0), number("limitBytes", 1), number("sinceSeconds", 1)
	if text := q.Get("sinceTime"); text != "" {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			errs = append(errs, field.Invalid(field.NewPath("sinceTime"), text, "must be an RFC 3339 time"))
		}
		options.SinceTime = &metav1.Time{Time: when}
		if options.SinceSeconds != nil {
			errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
		}
	}
	if stream := q.Get("stream"); stream != "" {
		options.Stream = &stream
		if stream != corev1.LogStreamAll && stream != corev1.LogStreamStdout && stream != corev1.LogStreamStderr {
			errs = append(errs, field.NotSupported(field.NewPath("stream"), stream, []string{corev1.LogStreamAll, corev1.LogStreamStderr, corev1.LogStreamStdout}))
		} else if options.TailLines != nil && stream != corev1.LogStreamAll {
			errs = append(errs, field.Forbidden(field.NewPath(""), "`tailLines` and specific `stream` are mutually exclusive for now"))
		}
	}
	return options, errs
}

// logQuery is the kubelet's form of the options.
func logQuery(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	for name, on := range map[string]bool{"follow": o.Follow, "previous": o.Previous, "timestamps": o.Timestamps} {
		if on {
			q.Set(name, "true")
		}
	}
	for name, n := range map[string]*int64{"tailLines": o.TailLines, "limitBytes": o.LimitBytes, "sinceSeconds": o.SinceSeconds} {
		if n != nil {
			q.Set(name, strconv.FormatInt(*n, 10))
		}
	}
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.Format(time.RFC3339))
	}
	if o.Stream != nil {
		q.Set("stream", *o.Stream)
	}
	return q
}

func portNumber(text string) (int32, error) {
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil || port < 1 || port > 65535 {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("ports: %q is not a port number", text))
	}
	return int32(port), nil
}
