// Package serviceaccount signs and verifies the tokens of service accounts: JWTs bound to an audience, a time
// and the objects for which they were made. https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
package serviceaccount

import (
	"strings"

	"github.com/go-jose/go-jose/v4/jwt"
)

// Claims are what a token says.
type Claims struct {
	jwt.Claims
	Kubernetes *Bound `json:"kubernetes.io,omitempty"`

	// The claims of tokens in Secrets of the type kubernetes.io/service-account-token, which have no audience and no end.
	LegacyNamespace  string `json:"kubernetes.io/serviceaccount/namespace,omitempty"`
	LegacyName       string `json:"kubernetes.io/serviceaccount/service-account.name,omitempty"`
	LegacyUID        string `json:"kubernetes.io/serviceaccount/service-account.uid,omitempty"`
	LegacySecretName string `json:"kubernetes.io/serviceaccount/secret.name,omitempty"`
}

// Bound says what a token is bound to.
type Bound struct {
	Namespace      string           `json:"namespace"`
	ServiceAccount Ref              `json:"serviceaccount"`
	Pod            *Ref             `json:"pod,omitempty"`
	Secret         *Ref             `json:"secret,omitempty"`
	Node           *Ref             `json:"node,omitempty"`
	WarnAfter      *jwt.NumericDate `json:"warnafter,omitempty"`
}

// Ref names an object in the token's namespace, or a node.
type Ref struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

const userPrefix = "system:serviceaccount:"

// UserName is the name of the user that a service account is.
func UserName(namespace, name string) string { return userPrefix + namespace + ":" + name }

// SplitUserName is the inverse of UserName.
func SplitUserName(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, userPrefix)
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	return namespace, name, ok && namespace != "" && name != "" && !strings.Contains(name, ":")
}

// Groups are those of a service account's user.
func Groups(namespace string) []string {
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
}
