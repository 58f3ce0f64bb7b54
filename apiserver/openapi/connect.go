package openapi

import (
	"slices"
	"strings"

	"github.com/septet-io/septet/resource"
)

// connector describes a subresource with behaviour of its own: one that takes an object, one that is read, or a connection.
func (d *describer) connector(t *target, path string, c resource.Connector) {
	switch {
	case slices.Equal(c.Verbs, []string{"create"}):
		d.add(path, map[string]*operation{"post": t.createConnector(c)})
	case c.Name == "log":
		d.add(path, map[string]*operation{"get": t.readLog(c)})
	default:
		d.add(path, t.connections(c, "", nil))
		if c.Name == "proxy" {
			d.add(path+"/{path}", t.connections(c, "WithPath", []parameter{inPath("path", "path to the resource")}))
		}
	}
}

func (t *target) createConnector(c resource.Connector) *operation {
	kind := c.Kind.Kind
	schema := ref(builtinName(c.Kind.Group, c.Kind.Version, kind))
	named := append([]parameter{inPath("name", "name of the "+kind)}, t.inScope...)
	op := t.op("post", "create"+t.id+capital(c.Name), "create "+c.Name+" of "+article(t.kind)+t.kind, named, t.options(metaTypes+"CreateOptions"))
	op.Kind = nameOf(c.Kind)
	op.Body = object{"content": content(schema, []string{"*/*"}), "required": true}
	op.Responses = responses(schema, answers, "200", "201", "202")
	return op
}

// builtinName is the schema name of a built-in kind.
func builtinName(group, version, kind string) string {
	first, _, _ := strings.Cut(group, ".")
	if first == "" {
		first = "core"
	}
	return "io.k8s.api." + first + "." + version + "." + kind
}

func (t *target) readLog(c resource.Connector) *operation {
	op := t.op("get", "read"+t.id+"Log", "read log of the specified "+t.kind, t.named, t.options("io.k8s.api.core.v1.PodLogOptions"))
	op.Responses = responses(object{"type": "string"}, append([]string{"text/plain"}, answers...), "200")
	return op
}

// connections are one operation a method; connections cannot be printed prettily.
func (t *target) connections(c resource.Connector, suffix string, more []parameter) map[string]*operation {
	methods := []string{"get", "post"}
	if c.Name == "proxy" {
		methods = []string{"delete", "get", "head", "options", "patch", "post", "put"}
	}
	all := map[string]*operation{}
	named := append([]parameter{inPath("name", "name of the "+c.Kind.Kind)}, t.inScope...)
	for _, method := range methods {
		verb := strings.TrimPrefix(t.id, t.upper)
		all[method] = &operation{
			Description: "connect " + strings.ToUpper(method) + " requests to " + c.Name + " of " + t.kind,
			ID:          "connect" + t.upper + capital(method) + verb + capital(c.Name) + suffix,
			Tags:        []string{t.tag}, Action: "connect", Kind: nameOf(c.Kind),
			Parameters: slices.Concat(named, more, t.options(builtinName(c.Kind.Group, c.Kind.Version, c.Kind.Kind))),
			Responses:  responses(object{"type": "string"}, []string{"*/*"}, "200"),
		}
	}
	return all
}
