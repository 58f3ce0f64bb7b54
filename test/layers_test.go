// Package test holds what is true of the whole tree: who may import whom, what may never be linked, and that every package
// says what it is for.
package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/septet-io/septet"

// layers are the folders of the tree from the bottom up. A package may import those of lower layers, and of its own
// folder; folders of the same layer do not know each other.
var layers = [][]string{
	{"journal", "daemon", "pki"},
	{"resource", "client"},
	{"reconcile"},
	{"apiserver", "etcd", "scheduler", "controllers", "cloud", "kubelet", "proxy"}, // the seven meet only through the API
	{"cluster"},
	{"cmd"},
}

// free folders are not part of what runs: they may import anything.
var free = []string{"test", "bench", "tools", "examples"}

// forbidden are modules and packages that must never be linked, with the parts of them that may.
var forbidden = []struct {
	path    string
	allowed []string
}{
	{"k8s.io/kubernetes", nil},
	{"k8s.io/controller-manager", nil},
	{"k8s.io/endpointslice", nil},
	{"sigs.k8s.io/controller-runtime", nil},
	{"k8s.io/component-helpers", nil},
	{"k8s.io/kube-aggregator", []string{"k8s.io/kube-aggregator/pkg/apis"}},
	{"k8s.io/apiserver", []string{
		"k8s.io/apiserver/pkg/cel",
		"k8s.io/apiserver/pkg/apis/cel", // the bounds of costs
		// The two interfaces by which its library of functions asks about authorization.
		"k8s.io/apiserver/pkg/authorization/authorizer", "k8s.io/apiserver/pkg/authentication/user",
	}},
	{"k8s.io/apiextensions-apiserver", []string{"k8s.io/apiextensions-apiserver/pkg/apis", "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"}},
	{"k8s.io/kms", []string{"k8s.io/kms/apis"}},
	{"k8s.io/cloud-provider", []string{"k8s.io/cloud-provider/api"}},
}

type goPackage struct {
	ImportPath, Doc, Name              string
	Imports, TestImports, XTestImports []string
	GoFiles                            []string
}

// packages lists the module's packages once for all tests here.
var packages = sync.OnceValues(func() ([]goPackage, error) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Name,Imports,TestImports,XTestImports,GoFiles", module+"/...").Output()
	if err != nil {
		return nil, err
	}
	var all []goPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func list(t *testing.T) []goPackage {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// folder is the first part of a package's path within the module.
func folder(path string) (string, bool) {
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return "", false
	}
	first, _, _ := strings.Cut(rest, "/")
	return first, true
}

func layerOf(folder string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, folder) })
}

func TestImportsPointDownwards(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		from, ours := folder(p.ImportPath)
		if !ours || slices.Contains(free, from) {
			continue
		}
		if layerOf(from) < 0 {
			t.Errorf("%s: the folder %s has no layer", p.ImportPath, from)
			continue
		}
		for _, imported := range p.Imports {
			to, ours := folder(imported)
			if !ours || from == to {
				continue
			}
			if layerOf(to) >= layerOf(from) || slices.Contains(free, to) {
				t.Errorf("%s imports %s: %s is not below %s", p.ImportPath, imported, to, from)
			}
		}
	}
}

func TestForbiddenModulesAreNotImported(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			for _, f := range forbidden {
				if imported != f.path && !strings.HasPrefix(imported, f.path+"/") {
					continue
				}
				permitted := slices.ContainsFunc(f.allowed, func(a string) bool { return imported == a || strings.HasPrefix(imported, a+"/") })
				if imported == "k8s.io/cloud-provider" || permitted {
					continue // the interface itself
				}
				t.Errorf("%s imports %s, which is the thing being written", p.ImportPath, imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// vague are folder names that say nothing.
var vague = []string{"pkg", "util", "utils", "common", "helpers", "helper", "misc", "shared"}

func TestFoldersHaveNames(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		for _, part := range strings.Split(p.ImportPath, "/") {
			if slices.Contains(vague, part) {
				t.Errorf("%s: %q says nothing about what is in it", p.ImportPath, part)
			}
		}
	}
}
