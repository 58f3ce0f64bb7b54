// Package authn finds out who makes a request: client certificates, bearer tokens of several kinds, an authenticating proxy's
// headers, or nobody. Each way is a request.Authenticator; Chain asks them in turn.
package authn

import (
	"errors"
	"net/http"
	"slices"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Names and groups with a meaning of their own.
const (
	Anonymous       = "system:anonymous"
	Unauthenticated = "system:unauthenticated"
	Authenticated   = "system:authenticated"

	// credentialID says in a user's extra which credential was used, for audit.
	credentialID = "authentication.kubernetes.io/credential-id"
)

// Chain asks each authenticator in turn; the first that knows the user decides. Bad credentials do not end
// the search, since another authenticator may know them, but are an error if nobody does.
type Chain []request.Authenticator

// Authenticate is request.Authenticator. Users that are found are in the group system:authenticated, unless anonymous.
func (c Chain) Authenticate(r *http.Request) (*resource.User, bool, error) {
	var errs []error
	for _, authenticator := range c {
		user, ok, err := authenticator.Authenticate(r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if ok {
			// Whatever else it held, nobody behind the server is to see it: requests may go on to Pods and kubelets.
			r.Header.Del("Authorization")
			return withGroup(user), true, nil
		}
	}
	return nil, false, errors.Join(errs...)
}

func withGroup(user *resource.User) *resource.User {
	if user.Name == Anonymous || slices.Contains(user.Groups, Authenticated) || slices.Contains(user.Groups, Unauthenticated) {
		return user
	}
	copied := *user
	copied.Groups = append(slices.Clip(user.Groups), Authenticated)
	return &copied
}

// Nobody lets requests without credentials in as system:anonymous; those with bad ones never come here, if it is asked last
// by OrNobody. Paths, when not nil, are the only ones for which it does.
type Nobody struct{ Paths []string }

// Authenticate is request.Authenticator.
func (n Nobody) Authenticate(r *http.Request) (*resource.User, bool, error) {
	if n.Paths != nil && !slices.Contains(n.Paths, r.URL.Path) {
		return nil, false, nil
	}
	return &resource.User{Name: Anonymous, Groups: []string{Unauthenticated}}, true, nil
}

// OrNobody asks the first authenticator, and the second only if the request had no credentials at all.
type OrNobody struct{ First, Then request.Authenticator }

// Authenticate is request.Authenticator.
func (o OrNobody) Authenticate(r *http.Request) (*resource.User, bool, error) {
	user, ok, err := o.First.Authenticate(r)
	if ok || err != nil {
		return user, ok, err
	}
	return o.Then.Authenticate(r)
}
