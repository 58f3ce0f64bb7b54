package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// marker begins the line by which a test claims to show a behaviour.
const marker = "// conformance: "

// skipped are folders without tests of ours.
var skipped = []string{".git", "bin", "testdata", "vendor"}

// claim is what one line of a test says.
type claim struct {
	name  string
	place string // file:line
}

// scan finds the claims of all test files below root, in the order of their paths.
func scan(root string) ([]claim, error) {
	var claims []claim
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skipped, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := readBounded(path)
		if err != nil {
			return err
		}
		if place, err := filepath.Rel(root, path); err == nil {
			path = place
		}
		line := 0
		for text := range strings.Lines(string(text)) {
			line++
			if name, found := strings.CutPrefix(strings.TrimSpace(text), marker); found {
				claims = append(claims, claim{strings.TrimSpace(name), fmt.Sprintf("%s:%d", path, line)})
			}
		}
		return nil
	})
	return claims, err
}

// match notes the claims at the behaviours that they name, and returns an error for each that names none, or more than one.
func match(behaviours []*behaviour, claims []claim) []error {
	named := map[string]*behaviour{}
	codes := map[string][]string{} // by shared testname
	for _, b := range behaviours {
		named[b.name()] = b
		if b.shared {
			codes[b.TestName] = append(codes[b.TestName], b.CodeName)
		}
	}
	var wrong []error
	for _, c := range claims {
		switch b := named[c.name]; {
		case b != nil:
			b.tests = append(b.tests, c.place)
		case codes[c.name] != nil:
			wrong = append(wrong, fmt.Errorf("%s: %q may mean any of %q", c.place, c.name, codes[c.name]))
		default:
			wrong = append(wrong, fmt.Errorf("%s: there is no behaviour %q", c.place, c.name))
		}
	}
	return wrong
}
