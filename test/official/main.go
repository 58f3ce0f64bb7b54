// Command official makes the images that upstream's conformance suite runs, under the names that it knows them by, out of
// upstream's own test programs and Debian's packages. See run.sh, which gathers those.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/septet-io/septet/test/images"
)

func main() {
	var from sources
	flag.StringVar(&from.programs, "programs", "", "folder of the built test programs")
	flag.StringVar(&from.debian, "debian", "", "folder with the file tree of the Debian packages that images need")
	flag.StringVar(&from.shell, "shell", "", "folder with the file tree of Debian's bash-static")
	flag.StringVar(&from.nginx, "nginx", "", "folder with the file tree of Debian's nginx")
	flag.StringVar(&from.module, "module", "", "folder of the module k8s.io/kubernetes")
	out := flag.String("out", "", "folder to write archives to")
	only := flag.String("only", "", "make the images whose names contain this; all if empty")
	serve := flag.String("serve", "", "make none, but serve those in -out as a registry on this address")
	flag.Parse()
	if *out == "" || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	if *serve != "" {
		fmt.Fprintln(os.Stderr, "official:", mirror(*serve, *out))
		os.Exit(1)
	}
	for _, recipe := range recipes {
		if !strings.Contains(recipe.name, *only) {
			continue
		}
		if err := recipe.make(from, *out); err != nil {
			fmt.Fprintf(os.Stderr, "official: %s: %v\n", recipe.name, err)
			os.Exit(1)
		}
	}
}

// mirror is a registry of what was made, for containerd to pull from.
func mirror(address, dir string) error {
	archives, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return err
	}
	registry, err := images.NewRegistry(archives...)
	if err != nil {
		return err
	}
	return http.ListenAndServe(address, registry)
}

// make writes the archive of one image.
func (r recipe) make(from sources, out string) error {
	image := images.Image{Name: r.name, Files: map[string]images.File{}, Config: r.config}
	for _, part := range r.parts {
		files, err := part(from)
		if err != nil {
			return err
		}
		for name, file := range files {
			if _, there := image.Files[name]; !there {
				image.Files[name] = file
			}
		}
	}
	// Images of equal content must still be different ones, or the runtime could not say which of them a container has.
	image.Config.Labels = map[string]string{"org.opencontainers.image.ref.name": r.name}
	file := strings.NewReplacer("/", "_", ":", "_").Replace(r.name) + ".tar"
	return image.Write(filepath.Join(out, file))
}

// sources are the folders that parts of images come from.
type sources struct{ programs, debian, shell, nginx, module string }

// part is some files of an image; of parts that hold the same file the first wins.
type part func(sources) (map[string]images.File, error)

func busybox(sources) (map[string]images.File, error)     { return images.BusyboxFiles() }
func debian(from sources) (map[string]images.File, error) { return images.Tree(from.debian) }
func nginx(from sources) (map[string]images.File, error)  { return images.Tree(from.nginx) }

// program is one of the built programs, at a path in the image.
func program(name, at string, mode int64) part {
	return func(from sources) (map[string]images.File, error) {
		content, err := os.ReadFile(filepath.Join(from.programs, name))
		return map[string]images.File{at: {Content: content, Mode: mode}}, err
	}
}

// upstream is a file of the module, at a path in the image.
func upstream(name, at string) part {
	return func(from sources) (map[string]images.File, error) {
		content, err := os.ReadFile(filepath.Join(from.module, name))
		return map[string]images.File{at: {Content: content}}, err
	}
}

// written are files that are said here.
func written(files map[string]images.File) part {
	return func(sources) (map[string]images.File, error) { return files, nil }
}

// text is a file of one text.
func text(at, content string) part {
	return written(map[string]images.File{at: {Content: []byte(content)}})
}
