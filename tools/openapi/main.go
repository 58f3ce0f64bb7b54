// Command openapi writes the schemas of all built-in types, as upstream's generator finds them in the sources of k8s.io/api and
// its like, into one compressed file that the API server carries. Run it from the top of the repository after a change of
// the k8s.io modules: go run ./tools/openapi
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// packages have the types that stable group versions use.
var packages = []string{
	"k8s.io/api/admissionregistration/v1", "k8s.io/api/apps/v1", "k8s.io/api/authentication/v1", "k8s.io/api/authorization/v1",
	"k8s.io/api/autoscaling/v1", "k8s.io/api/autoscaling/v2", "k8s.io/api/batch/v1", "k8s.io/api/certificates/v1",
	"k8s.io/api/coordination/v1", "k8s.io/api/core/v1", "k8s.io/api/discovery/v1", "k8s.io/api/events/v1",
	"k8s.io/api/flowcontrol/v1", "k8s.io/api/networking/v1", "k8s.io/api/node/v1", "k8s.io/api/policy/v1",
	"k8s.io/api/rbac/v1", "k8s.io/api/resource/v1", "k8s.io/api/scheduling/v1", "k8s.io/api/storage/v1",
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1", "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1",
	"k8s.io/apimachinery/pkg/apis/meta/v1", "k8s.io/apimachinery/pkg/api/resource", "k8s.io/apimachinery/pkg/runtime",
	"k8s.io/apimachinery/pkg/util/intstr", "k8s.io/apimachinery/pkg/version",
}

const (
	work   = "tools/openapi/generated"
	output = "apiserver/openapi/definitions.json.gz"
)

// dump is compiled with the generated definitions and writes them as JSON to standard output.
const dump = `package main

import (
	"encoding/json"
	"os"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"github.com/septet-io/septet/tools/openapi/generated/definitions"
)

type definition struct {
	Schema spec.Schema     ` + "`json:\"schema\"`" + `
	V3     *spec.Schema    ` + "`json:\"v3,omitempty\"`" + `
}

func main() {
	all := map[string]definition{}
	for name, d := range definitions.GetOpenAPIDefinitions(func(path string) spec.Ref { return spec.MustCreateRef("#/" + path) }) {
		one := definition{Schema: d.Schema}
		if v2, ok := d.Schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			v3 := d.Schema
			v3.Extensions = spec.Extensions{}
			for k, v := range d.Schema.Extensions {
				if k != common.ExtensionV2Schema {
					v3.Extensions[k] = v
				}
			}
			one = definition{Schema: v2, V3: &v3}
		}
		all[name] = one
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		panic(err)
	}
}
`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run() error {
	defer os.RemoveAll(work)
	if err := os.MkdirAll(filepath.Join(work, "dump"), 0o755); err != nil {
		return err
	}
	boilerplate := filepath.Join(work, "header.txt")
	if err := os.WriteFile(boilerplate, nil, 0o644); err != nil {
		return err
	}
	generate := exec.Command("go", append([]string{"tool", "openapi-gen", "--output-dir", filepath.Join(work, "definitions"),
		"--output-pkg", "github.com/septet-io/septet/" + work + "/definitions", "--output-file", "definitions.go",
		"--go-header-file", boilerplate, "--report-filename", filepath.Join(work, "report")}, packages...)...)
	generate.Stderr = os.Stderr
	if err := generate.Run(); err != nil {
		return fmt.Errorf("generator: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, "dump", "main.go"), []byte(dump), 0o644); err != nil {
		return err
	}
	dumping := exec.Command("go", "run", "./"+work+"/dump")
	dumping.Stderr = os.Stderr
	definitions, err := dumping.Output()
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	return pack(definitions)
}
