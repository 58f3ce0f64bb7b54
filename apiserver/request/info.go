// Package request is what the server knows about a request before it looks at the body: what the URL asks for, who asks,
// and the small contracts of those who find that out (authentication, authorization).
package request

import (
	"net/http"
	"net/url"
	"strings"
)

// Info is what a URL and method ask for. https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
type Info struct {
	// IsResource is true below /api/<version>/<resource> and /apis/<group>/<version>/<resource>.
	IsResource bool
	Path       string
	// Verb is get, list, watch, create, update, patch, delete or deletecollection for resources, else the method in lower case.
	Verb string
	// Prefix is "api" or "apis" below these paths, also where IsResource is false (discovery).
	Prefix         string
	Group, Version string
	Resource       string
	Subresource    string
	// Namespace is empty for cluster-scoped requests. For namespaces themselves it is the name, as upstream has it.
	Namespace string
	Name      string
	// Rest is what follows the subresource: the path behind "proxy".
	Rest string
	// LabelSelector and FieldSelector are the raw query values of list, watch and deletecollection, for authorization.
	LabelSelector, FieldSelector string
}

// namespaceSubresources are the words that may follow /namespaces/<name>/ without being a resource in it.
func namespaceSubresource(word string) bool { return word == "status" || word == "finalize" }

// Parse reads what a request asks for. It never fails: what is not a resource is a path.
func Parse(r *http.Request) Info {
	info := Info{Path: r.URL.Path, Verb: strings.ToLower(r.Method)}
	prefix, rest := cut(strings.TrimPrefix(r.URL.Path, "/"))
	switch prefix {
	case "api":
		info.Prefix = prefix
		info.Version, rest = cut(rest)
	case "apis":
		info.Prefix = prefix
		info.Group, rest = cut(rest)
		info.Version, rest = cut(rest)
	default:
		return info
	}
	if rest == "" {
		return info
	}
	info.IsResource = true
	info.Verb = verbs[r.Method]
	watched := false
	if word, after := cut(rest); word == "watch" && after != "" {
		watched, rest = true, after // the deprecated /api/v1/watch/… form
	}
	info.parseResource(rest)
	info.parseVerb(r, watched)
	return info
}

// verbs are what methods mean for one object.
var verbs = map[string]string{
	http.MethodPost: "create", http.MethodGet: "get", http.MethodHead: "get",
	http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// parseResource reads [namespaces/<namespace>/]<resource>[/<name>[/<subresource>[/<rest>]]].
func (i *Info) parseResource(path string) {
	word, after := cut(path)
	if word == "namespaces" && after != "" {
		name, inside := cut(after)
		i.Namespace = name
		if first, _ := cut(inside); inside == "" || namespaceSubresource(first) {
			i.Resource, i.Name = "namespaces", name
			i.Subresource, i.Rest = cut(inside)
			return
		}
		word, after = cut(inside)
	}
	i.Resource = word
	i.Name, after = cut(after)
	i.Subresource, i.Rest = cut(after)
}

// parseVerb tells list and watch from get, and deletecollection from delete.
func (i *Info) parseVerb(r *http.Request, watched bool) {
	if i.Name == "" {
		switch i.Verb {
		case "get":
			i.Verb = "list"
		case "delete":
			i.Verb = "deletecollection"
		}
	}
	if watched && (i.Verb == "list" || i.Verb == "get") {
		i.Verb = "watch"
	}
	if i.Verb != "list" && i.Verb != "watch" && i.Verb != "deletecollection" {
		return
	}
	query := Query(r)
	if value, given := query["watch"]; i.Verb == "list" && given && truthy(value) {
		i.Verb = "watch"
	}
	i.LabelSelector, i.FieldSelector = query.Get("labelSelector"), query.Get("fieldSelector")
	if i.Name == "" {
		i.Name = singleName(i.FieldSelector)
	}
}

// Query returns the query of a request; nil if it has none or is malformed in all its parts.
func Query(r *http.Request) url.Values {
	if r.URL.RawQuery == "" {
		return nil
	}
	values, _ := url.ParseQuery(r.URL.RawQuery) // what is malformed is dropped, as net/http does
	return values
}

// truthy reads a boolean query value as upstream converts it: a bare name is true.
func truthy(values []string) bool {
	if len(values) == 0 {
		return true
	}
	switch strings.ToLower(values[0]) {
	case "false", "0":
		return false
	}
	return true
}

// singleName returns the object that a selector "metadata.name=x" pins, so that authorization by resource name works for
// list and watch too.
func singleName(selector string) string {
	if !strings.Contains(selector, "metadata.name") {
		return ""
	}
	for _, term := range strings.Split(selector, ",") {
		name, value, found := strings.Cut(term, "=")
		if found && strings.TrimSpace(name) == "metadata.name" {
			return strings.TrimPrefix(value, "=")
		}
	}
	return ""
}

// PathNames says that the path names one object, not only a field selector.
func (i *Info) PathNames() bool {
	return i.Name != "" && (i.FieldSelector == "" || i.Name != singleName(i.FieldSelector))
}

// IsNamespace says that the path is that of a namespace itself, whose Namespace is its own name.
func (i *Info) IsNamespace() bool {
	return i.Resource == "namespaces" && i.Group == "" && i.Namespace == i.Name
}

func cut(path string) (word, rest string) {
	word, rest, _ = strings.Cut(path, "/")
	return word, rest
}
