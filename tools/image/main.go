// Command image packs a static program into an OCI archive, without any container tooling:
//
//	go run ./tools/image -name example.org/app:1 -out app.tar path/to/program
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/septet-io/septet/test/images"
)

func main() {
	name := flag.String("name", "", "name of the image, with a tag")
	out := flag.String("out", "", "file to write")
	flag.Parse()
	if *name == "" || *out == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := pack(*name, *out, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func pack(name, out, program string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	path := "/" + filepath.Base(program)
	return images.Image{
		Name: name, Config: v1.ImageConfig{Entrypoint: []string{path}},
		Files: map[string]images.File{path: {Mode: 0o755, Content: content}},
	}.Write(out)
}
