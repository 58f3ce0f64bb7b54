// Command fields writes what the merge schema of client-go says about the built-in types beyond their Go structs: which lists have keys
// or are sets, and which structs and maps are one value. Run it from the top of the repository after a change of the
// k8s.io modules: go run ./tools/fields
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

const output = "apiserver/fields/facts.txt"

// elsewhere are the facts of served types that client-go does not know; the markers in their source say so.
var elsewhere = []string{
	"io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
	"io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceCondition",
	"io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceSpec",
	"io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus conditions=type",
	"io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference",
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fields:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/client-go").Output()
	if err != nil {
		return fmt.Errorf("find client-go: %w", err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "applyconfigurations", "internal", "internal.go"))
	if err != nil {
		return err
	}
	_, rest, found := bytes.Cut(source, []byte("typed.YAMLObject(`"))
	text, _, closed := bytes.Cut(rest, []byte("`"))
	if !found || !closed {
		return fmt.Errorf("client-go's merge schema is not where it was")
	}
	parser, err := typed.NewParser(typed.YAMLObject(text))
	if err != nil {
		return fmt.Errorf("merge schema: %w", err)
	}
	all := &parser.Schema
	lines := slices.Clone(elsewhere)
	for i := range all.Types {
		if line := facts(all, &all.Types[i]); line != "" {
			lines = append(lines, line)
		}
	}
	sort.Strings(lines)
	return os.WriteFile(output, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// facts is the line of a type: its name, then "!" if it is one value, or the fields of which there is something to say.
func facts(all *schema.Schema, t *schema.TypeDef) string {
	if t.Map == nil || !served(t.Name) {
		return ""
	}
	if t.Map.ElementRelationship == schema.Atomic {
		return t.Name + " !"
	}
	var said []string
	for _, field := range t.Map.Fields {
		if fact := factOf(all, field.Type); fact != "" {
			said = append(said, field.Name+"="+fact)
		}
	}
	// A type without anything to say is named too: it is known.
	return strings.TrimSpace(t.Name + " " + strings.Join(said, " "))
}

// served says whether a type belongs to a stable version, or to all of them.
func served(name string) bool {
	parts := strings.Split(name, ".")
	if len(parts) < 2 {
		return false
	}
	version := parts[len(parts)-2]
	return !strings.HasPrefix(name, "io.k8s.api.") || version == "v1" || version == "v2"
}

// factOf is what is to be said about a field's type: "!" for one value where a Go struct or map would be many, "?" for
// contents that decide by themselves, "*" for a set, or the keys of a list, with defaults.
// "~" is a struct whose parts are owned one by one though its type is one value elsewhere.
func factOf(all *schema.Schema, ref schema.TypeRef) string {
	if ref.ElementRelationship != nil {
		if *ref.ElementRelationship == schema.Atomic {
			return "!"
		}
		return "~"
	}
	if ref.NamedType != nil {
		switch *ref.NamedType {
		case "__untyped_atomic_":
			return "!"
		case "__untyped_deduced_":
			return "?"
		}
		return ""
	}
	switch {
	case ref.Inlined.Map != nil && ref.Inlined.Map.ElementRelationship == schema.Atomic:
		return "!"
	case ref.Inlined.List != nil && ref.Inlined.List.ElementRelationship == schema.Associative:
		if len(ref.Inlined.List.Keys) == 0 {
			return "*"
		}
		return keys(all, ref.Inlined.List)
	}
	return ""
}

func keys(all *schema.Schema, list *schema.List) string {
	item, ok := all.Resolve(list.ElementType)
	var parts []string
	for _, key := range list.Keys {
		part := key
		if ok && item.Map != nil {
			if field, known := item.Map.FindField(key); known && field.Default != nil {
				value, err := json.Marshal(field.Default)
				if err == nil {
					part += ":" + string(value)
				}
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}
