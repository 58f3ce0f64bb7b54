package apiserver

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// The headers by which one user acts as another: https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation
const (
	impersonateUser   = "Impersonate-User"
	impersonateUID    = "Impersonate-Uid"
	impersonateGroup  = "Impersonate-Group"
	impersonateExtra  = "Impersonate-Extra-"
	accountPrefix     = "system:serviceaccount:"
	allAccounts       = "system:serviceaccounts"
	allAuthenticated  = "system:authenticated"
	allAnonymous      = "system:unauthenticated"
	anonymousUser     = "system:anonymous"
	authenticationAPI = "authentication.k8s.io"
)

// impersonate lets a user act as another one, if authorization allows each part of that.
func (s *Server) impersonate(c *call) (bool, error) {
	wanted, err := impersonated(c.r.Header)
	if err != nil || wanted == nil {
		return false, err
	}
	for _, ask := range impersonationRights(wanted) {
		decision, reason, err := s.authorizer.Authorize(c.r.Context(), ask, c.state.User)
		if decision != request.Allow {
			if err != nil && reason == "" {
				reason = err.Error()
			}
			return false, forbidden(&request.State{Info: *ask, User: c.state.User}, reason)
		}
	}
	completeGroups(wanted)
	real := c.state.User
	c.state.Impersonator, c.state.User = &real, *wanted
	for name := range c.r.Header {
		if strings.HasPrefix(name, "Impersonate-") {
			c.r.Header.Del(name)
		}
	}
	return false, nil
}

// impersonated reads whom a request wants to act as; nil if nobody.
func impersonated(header http.Header) (*resource.User, error) {
	user := &resource.User{
		Name: header.Get(impersonateUser), UID: header.Get(impersonateUID), Groups: append([]string(nil), header[impersonateGroup]...),
	}
	for name, values := range header {
		key, isExtra := strings.CutPrefix(name, impersonateExtra)
		if !isExtra || len(key) == 0 {
			continue
		}
		key = strings.ToLower(key)
		if decoded, err := url.PathUnescape(key); err == nil {
			key = decoded
		}
		if user.Extra == nil {
			user.Extra = map[string][]string{}
		}
		user.Extra[key] = append(user.Extra[key], values...)
	}
	if user.Name == "" {
		if len(user.Groups) > 0 || user.Extra != nil || user.UID != "" {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("requested %v without impersonating a user", partsOf(user)))
		}
		return nil, nil
	}
	return user, nil
}

func partsOf(user *resource.User) []string {
	var parts []string
	for _, group := range user.Groups {
		parts = append(parts, "group "+group)
	}
	for key := range user.Extra {
		parts = append(parts, "extra "+key)
	}
	if user.UID != "" {
		parts = append(parts, "uid "+user.UID)
	}
	return parts
}

// impersonationRights are what must be allowed, one by one.
func impersonationRights(user *resource.User) []*request.Info {
	ask := func(group, version, kind, namespace, name, sub string) *request.Info {
		return &request.Info{
			IsResource: true, Verb: "impersonate", Group: group, Version: version, Resource: kind, Namespace: namespace, Name: name, Subresource: sub,
		}
	}
	var asks []*request.Info
	if namespace, name, ok := splitAccount(user.Name); ok {
		asks = append(asks, ask("", "v1", "serviceaccounts", namespace, name, ""))
	} else {
		asks = append(asks, ask("", "v1", "users", "", user.Name, ""))
	}
	for _, group := range user.Groups {
		asks = append(asks, ask("", "v1", "groups", "", group, ""))
	}
	for key, values := range user.Extra {
		for _, value := range values {
			asks = append(asks, ask(authenticationAPI, "v1", "userextras", "", value, key))
		}
	}
	if user.UID != "" {
		asks = append(asks, ask(authenticationAPI, "v1", "uids", "", user.UID, ""))
	}
	return asks
}

func splitAccount(name string) (namespace, account string, ok bool) {
	rest, ok := strings.CutPrefix(name, accountPrefix)
	if !ok {
		return "", "", false
	}
	namespace, account, ok = strings.Cut(rest, ":")
	return namespace, account, ok && namespace != "" && account != ""
}

// completeGroups adds the groups that come with being somebody.
func completeGroups(user *resource.User) {
	if namespace, _, ok := splitAccount(user.Name); ok && len(user.Groups) == 0 {
		user.Groups = []string{allAccounts, allAccounts + ":" + namespace}
	}
	wanted := allAuthenticated
	if user.Name == anonymousUser {
		wanted = allAnonymous
	}
	for _, group := range user.Groups {
		if group == allAuthenticated || group == allAnonymous {
			return
		}
	}
	user.Groups = append(user.Groups, wanted)
}
