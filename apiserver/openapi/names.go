package openapi

import (
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

const metaTypes = "io.k8s.apimachinery.pkg.apis.meta.v1."

// typeName is the schema name of a kind's Go type: io.k8s.api.core.v1.Pod. Custom resources are named by group, turned round.
func typeName(kind *resource.Kind) string {
	t := reflect.TypeOf(kind.New()).Elem()
	path := t.PkgPath()
	if strings.HasSuffix(path, "/unstructured") {
		return customName(kind.GroupVersionKind)
	}
	return goName(path) + "." + t.Name()
}

// listName is the schema name of a collection of the kind.
func listName(kind *resource.Kind) string {
	name := typeName(kind)
	return name[:strings.LastIndexByte(name, '.')+1] + kind.ListKind
}

// goName turns the host of an import path round: k8s.io/api/core/v1 is io.k8s.api.core.v1.
func goName(path string) string {
	host, rest, _ := strings.Cut(path, "/")
	return reverse(host) + "." + strings.ReplaceAll(rest, "/", ".")
}

func customName(gvk schema.GroupVersionKind) string {
	return reverse(gvk.Group) + "." + gvk.Version + "." + gvk.Kind
}

func reverse(host string) string {
	parts := strings.Split(host, ".")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".")
}

// groupNames are a group as operations and tags have it: RbacAuthorization and rbacAuthorization for rbac.authorization.k8s.io.
func groupNames(group string) (upper, lower string) {
	if group == "" {
		return "Core", "core"
	}
	for _, part := range strings.FieldsFunc(strings.TrimSuffix(group, ".k8s.io"), func(r rune) bool { return r == '.' || r == '-' }) {
		upper += capital(part)
	}
	return upper, strings.ToLower(upper[:1]) + upper[1:]
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// article is what stands before a kind in a sentence: nothing before a plural.
func article(kind string) string {
	if strings.HasSuffix(kind, "s") && !strings.HasSuffix(kind, "ss") {
		return ""
	}
	if strings.ContainsRune("AEIOUaeiou", rune(kind[0])) {
		return "an "
	}
	return "a "
}
