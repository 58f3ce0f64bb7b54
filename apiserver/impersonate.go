package apiserver

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/authz"
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

// mode is a way to be allowed to act as somebody. The constrained ones (KEP-5284) ask two things: may the user do this very request
// while acting in that mode, and may the user act as that one in it. The last is the way of old, which asks the second only.
type mode struct {
	name string // empty for the way of old
	// fits says whether the mode is for such a user at all; nil: for all.
	fits func(wanted, real *resource.User) bool
}

// modes in the order in which they are tried.
var modes = []mode{
	{"associated-node", func(wanted, real *resource.User) bool {
		node, ok := nodeOf(wanted.Name)
		on := real.Extra["authentication.kubernetes.io/node-name"]
		_, _, isAccount := splitAccount(real.Name)
		return ok && nameOnly(wanted) && isAccount && len(on) == 1 && on[0] == node
	}},
	{"arbitrary-node", func(wanted, _ *resource.User) bool {
		_, ok := nodeOf(wanted.Name)
		return ok && nameOnly(wanted)
	}},
	{"serviceaccount", func(wanted, _ *resource.User) bool {
		_, _, ok := splitAccount(wanted.Name)
		return ok && nameOnly(wanted)
	}},
	{"user-info", func(wanted, _ *resource.User) bool {
		_, isNode := nodeOf(wanted.Name)
		_, _, isAccount := splitAccount(wanted.Name)
		return !isNode && !isAccount
	}},
	{},
}

// impersonate lets a user act as another one, if authorization allows it in any mode. If none does, the first refusal is told.
func (s *Server) impersonate(c *call) (bool, error) {
	wanted, err := impersonated(c.r.Header)
	if err != nil || wanted == nil {
		return false, err
	}
	for name := range c.r.Header {
		if strings.HasPrefix(name, "Impersonate-") {
			c.r.Header.Del(name)
		}
	}
	var refusal error
	for i := range modes {
		m := &modes[i]
		if m.fits != nil && !m.fits(wanted, &c.state.User) {
			continue
		}
		err := s.allowsMode(c, m, wanted)
		if err == nil {
			m.completeGroups(wanted)
			real := c.state.User
			c.state.Impersonator, c.state.User, c.state.ImpersonationConstraint = &real, *wanted, m.constraint()
			return false, nil
		}
		if refusal == nil {
			refusal = err
		}
	}
	return false, refusal
}

// verb is what the mode asks about each part of the wanted user.
func (m *mode) verb() string {
	if m.name == "" {
		return "impersonate"
	}
	return "impersonate:" + m.name
}

// constraint is what audit is told of the mode.
func (m *mode) constraint() string {
	if m.name == "" {
		return ""
	}
	return m.verb()
}

// allowsMode asks what a mode asks.
func (s *Server) allowsMode(c *call, m *mode, wanted *resource.User) error {
	user := c.state.User
	if m.name == "associated-node" {
		user = m.withoutExtra(user)
	}
	var asks []*request.Info
	if m.name != "" {
		if err := checkConstrained(wanted); err != nil {
			return err
		}
		on := c.state.Info
		on.Verb = "impersonate-on:" + m.name + ":" + on.Verb
		asks = append(asks, &on)
	}
	for _, ask := range append(asks, m.rights(wanted)...) {
		decision, reason, err := s.authorizer.Authorize(c.r.Context(), ask, user)
		if decision == request.Allow {
			continue
		}
		if err != nil && reason == "" {
			reason = err.Error()
		}
		return forbidden(&request.State{Info: *ask, User: c.state.User}, reason)
	}
	return nil
}

// withoutExtra hides from authorizers which node and Pod the account is on, but not that it is: what is asked is good for every node.
func (m *mode) withoutExtra(user resource.User) resource.User {
	keys := slices.Sorted(maps.Keys(user.Extra))
	user.Extra = map[string][]string{"authentication.kubernetes.io/associated-node-keys": keys}
	return user
}

// checkConstrained refuses what only the way of old lets pass.
func checkConstrained(wanted *resource.User) error {
	refuse := func(format string, args ...any) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: authenticationAPI, Resource: "users"}, wanted.Name, fmt.Errorf(format, args...))
	}
	for _, group := range wanted.Groups {
		if group == "" || group == authz.Masters {
			return refuse("impersonating the group %q is not allowed", group)
		}
	}
	for key, values := range wanted.Extra {
		if errs := validation.IsDomainPrefixedPath(field.NewPath("extra", "key"), key); len(errs) > 0 {
			return refuse("impersonating an invalid key in extra is not allowed: %w", errs.ToAggregate())
		}
		if len(values) == 0 || slices.Contains(values, "") {
			return refuse("impersonating empty values in extra is not allowed")
		}
	}
	return nil
}

func nameOnly(user *resource.User) bool {
	return user.UID == "" && len(user.Groups) == 0 && len(user.Extra) == 0
}

// nodeOf is the node whose user has this name.
func nodeOf(user string) (string, bool) {
	node, ok := strings.CutPrefix(user, "system:node:")
	return node, ok && len(validation.IsDNS1123Subdomain(node)) == 0
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

// rights are what must be allowed of a user's parts, one by one.
func (m *mode) rights(user *resource.User) []*request.Info {
	ask := func(group, kind, namespace, name, sub string) *request.Info {
		return &request.Info{
			IsResource: true, Verb: m.verb(), Group: group, Version: "v1", Resource: kind, Namespace: namespace, Name: name, Subresource: sub,
		}
	}
	group := "" // of users and groups, which the way of old takes for the core group's
	if m.name != "" {
		group = authenticationAPI
	}
	var asks []*request.Info
	namespace, account, isAccount := splitAccount(user.Name)
	node, isNode := nodeOf(user.Name)
	switch {
	case isAccount:
		asks = append(asks, ask(group, "serviceaccounts", namespace, account, ""))
	case isNode && m.name == "associated-node":
		asks = append(asks, ask(group, "nodes", "", "*", "")) // any that the account is on
	case isNode && m.name != "":
		asks = append(asks, ask(group, "nodes", "", node, ""))
	default:
		asks = append(asks, ask(group, "users", "", user.Name, ""))
	}
	for _, name := range user.Groups {
		asks = append(asks, ask(group, "groups", "", name, ""))
	}
	for key, values := range user.Extra {
		for _, value := range values {
			asks = append(asks, ask(authenticationAPI, "userextras", "", value, key))
		}
	}
	if user.UID != "" {
		asks = append(asks, ask(authenticationAPI, "uids", "", user.UID, ""))
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
func (m *mode) completeGroups(user *resource.User) {
	if namespace, _, ok := splitAccount(user.Name); ok && len(user.Groups) == 0 {
		user.Groups = []string{allAccounts, allAccounts + ":" + namespace}
	}
	if _, ok := nodeOf(user.Name); ok && m.name != "" {
		user.Groups = []string{"system:nodes"}
	}
	wanted := allAuthenticated
	if user.Name == anonymousUser {
		wanted = allAnonymous
	}
	if slices.Contains(user.Groups, allAuthenticated) || slices.Contains(user.Groups, allAnonymous) {
		return
	}
	user.Groups = append(user.Groups, wanted)
}
