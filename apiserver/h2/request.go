package h2

import (
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
)

// blank is what all requests have in common. A copy with its context is all that is made of one.
var blank = &http.Request{Proto: "HTTP/2.0", ProtoMajor: 2, Body: http.NoBody}

// open makes the request of a stream. Errors are StreamErrors: what is malformed by RFC 9113 section 8.
func (s *stream) open(f *http2.MetaHeadersFrame) error {
	malformed := http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	header, ok := headerOf(f)
	if !ok || f.PseudoValue("protocol") != "" { // extended CONNECT was not offered
		return malformed
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(s.c.base)
	r := blank.WithContext(ctx)
	r.Method, r.RequestURI, r.Host, r.Header = f.PseudoValue("method"), f.PseudoValue("path"), f.PseudoValue("authority"), header
	r.RemoteAddr, r.TLS = s.c.remote, &s.c.state
	if r.Host == "" {
		r.Host = header.Get("Host")
	}
	delete(header, "Host")
	if r.URL, ok = urlOf(r, f.PseudoValue("scheme")); !ok {
		return malformed
	}
	if s.body.declared, ok = lengthOf(header); !ok {
		return malformed
	}
	r.ContentLength = s.body.declared
	if s.body.ended = f.StreamEnded(); s.body.ended {
		if s.body.declared > 0 {
			return malformed
		}
		r.ContentLength = 0
	} else {
		r.Body = requestBody{s}
		r.Trailer = announced(header)
		if s.body.expects = httpguts.HeaderValuesContainsToken(header["Expect"], "100-continue"); s.body.expects {
			delete(header, "Expect")
		}
	}
	s.request = r
	s.response.begins(s.request, f.Truncated)
	return nil
}

// headerOf is the header without pseudo fields; false if it has fields that only make sense for a connection.
func headerOf(f *http2.MetaHeadersFrame) (http.Header, bool) {
	fields := f.RegularFields()
	header := make(http.Header, len(fields))
	values := make([]string, len(fields)) // of all fields, as most have one
	for i, field := range fields {
		switch field.Name {
		case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			return nil, false
		case "te":
			if field.Value != "trailers" {
				return nil, false
			}
		}
		key := canonical(field.Name)
		if before := header[key]; before != nil {
			header[key] = append(before, field.Value)
			continue
		}
		values[i] = field.Value
		header[key] = values[i : i+1 : i+1]
	}
	if cookies := header["Cookie"]; len(cookies) > 1 { // RFC 9113 section 8.2.3
		header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	return header, true
}

func urlOf(r *http.Request, scheme string) (*url.URL, bool) {
	if r.Method == http.MethodConnect {
		if scheme != "" || r.RequestURI != "" || r.Host == "" {
			return nil, false
		}
		r.RequestURI = r.Host
		return &url.URL{Host: r.Host}, true
	}
	if r.Method == "" || r.RequestURI == "" || scheme != "https" && scheme != "http" || !httpguts.ValidHostHeader(r.Host) {
		return nil, false
	}
	u, err := url.ParseRequestURI(r.RequestURI)
	return u, err == nil
}

// lengthOf is Content-Length; -1 if there is none.
func lengthOf(header http.Header) (int64, bool) {
	values := header["Content-Length"]
	if len(values) == 0 {
		return -1, true
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	return int64(n), err == nil && len(values) == 1
}

// announced are the trailers that may come.
func announced(header http.Header) http.Header {
	var trailer http.Header
	for _, list := range header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			key := http.CanonicalHeaderKey(textproto.TrimString(name))
			switch key {
			case "Transfer-Encoding", "Trailer", "Content-Length", "":
				continue
			}
			if trailer == nil {
				trailer = http.Header{}
			}
			trailer[key] = nil
		}
	}
	delete(header, "Trailer")
	return trailer
}

// spellings of the fields that are usual in both directions, so that no string is made for them.
var toCanonical, toLower = spellings(
	"Accept", "Accept-Encoding", "Accept-Language", "Audit-Id", "Authorization", "Cache-Control", "Content-Encoding", "Content-Length",
	"Content-Type", "Cookie", "Date", "Etag", "Expect", "Host", "If-None-Match", "Kubectl-Command", "Kubectl-Session", "Last-Modified",
	"Location", "Origin", "Referer", "Retry-After", "Strict-Transport-Security", "Te", "Traceparent", "Trailer", "User-Agent", "Vary",
	"Warning", "X-Content-Type-Options", "X-Forwarded-For", "X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid",
)

func spellings(names ...string) (toCanonical, toLower map[string]string) {
	toCanonical, toLower = map[string]string{}, map[string]string{}
	for _, name := range names {
		lower := strings.ToLower(name)
		toCanonical[lower], toLower[name] = name, lower
	}
	return toCanonical, toLower
}

func canonical(name string) string {
	if known, ok := toCanonical[name]; ok {
		return known
	}
	return http.CanonicalHeaderKey(name)
}

func lower(name string) string {
	if known, ok := toLower[name]; ok {
		return known
	}
	return strings.ToLower(name)
}
