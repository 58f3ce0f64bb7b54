package authn

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/septet-io/septet/resource"
)

// Header trusts an authenticating proxy to name the user in headers, if the proxy shows a certificate of the
// right authority. https://kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy
type Header struct {
	Roots func() (*x509.CertPool, error)
	// AllowedNames are the common names that a proxy's certificate may have; any if empty.
	AllowedNames []string
	// Names of the headers; the last are prefixes.
	User, UID, Group, ExtraPrefix []string
}

// Authenticate is request.Authenticator. The headers are removed from the request, so that nobody behind it trusts them again.
func (h *Header) Authenticate(r *http.Request) (*resource.User, bool, error) {
	name := first(r.Header, h.User)
	if name == "" || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	roots, err := h.Roots()
	if err != nil {
		return nil, false, err
	}
	if Verify(r.TLS.PeerCertificates, roots) != nil {
		return nil, false, nil // not a proxy: the certificate may be a user's
	}
	if len(h.AllowedNames) > 0 && !slices.Contains(h.AllowedNames, r.TLS.PeerCertificates[0].Subject.CommonName) {
		return nil, false, nil
	}
	user := &resource.User{Name: name, UID: first(r.Header, h.UID), Extra: map[string][]string{}}
	for _, header := range h.Group {
		for _, group := range r.Header.Values(header) {
			if group != "" {
				user.Groups = append(user.Groups, group)
			}
		}
	}
	for header, values := range r.Header {
		for _, prefix := range h.ExtraPrefix {
			if rest, ok := cutFold(header, prefix); ok {
				key := unescape(strings.ToLower(rest))
				user.Extra[key] = append(user.Extra[key], values...)
			}
		}
	}
	h.strip(r.Header)
	return user, true, nil
}

func (h *Header) strip(header http.Header) {
	for _, names := range [][]string{h.User, h.UID, h.Group} {
		for _, name := range names {
			header.Del(name)
		}
	}
	for name := range header {
		for _, prefix := range h.ExtraPrefix {
			if _, ok := cutFold(name, prefix); ok {
				header.Del(name)
			}
		}
	}
}

func first(header http.Header, names []string) string {
	for _, name := range names {
		if value := header.Get(name); value != "" {
			return value
		}
	}
	return ""
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// unescape turns %-sequences in a header's name into what they stand for; bad ones stay.
func unescape(key string) string {
	if plain, err := url.PathUnescape(key); err == nil {
		return plain
	}
	return key
}
