// Command conformance says which of the behaviours that Kubernetes certifies clusters by (KEP-1618 and the list that upstream
// publishes as conformance.yaml) are shown by the tests of this tree, and which are not. A test says what it shows by a line
// "// conformance: NAME" in its comment, where NAME is the testname of the list, or the codename where behaviours share a testname.
//
// Run it from the top of the repository: go run ./tools/conformance [-file conformance.yaml] [-missing]. It ends with 1 if
// a test names what is not in the list.
package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	file := flag.String("file", cmp.Or(os.Getenv("SEPTET_CONFORMANCE"), filepath.Join("..", "shared", "conformance.yaml")), "the list of behaviours")
	missing := flag.Bool("missing", false, "print only what no test shows")
	flag.Parse()
	if err := run(os.Stdout, *file, ".", *missing); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// run prints the coverage of the list in file by the tests below root. Its error joins all names that could not be resolved.
func run(out io.Writer, file, root string, missing bool) error {
	behaviours, err := read(file)
	if err != nil {
		return err
	}
	claims, err := scan(root)
	if err != nil {
		return err
	}
	wrong := match(behaviours, claims)
	buffered := bufio.NewWriter(out)
	print(buffered, behaviours, missing)
	return errors.Join(append(wrong, buffered.Flush())...)
}

// print writes one part per special interest group, in the order of the list, and the sum.
func print(out io.Writer, behaviours []*behaviour, missing bool) {
	var groups []string
	members := map[string][]*behaviour{}
	for _, b := range behaviours {
		if members[b.group()] == nil {
			groups = append(groups, b.group())
		}
		members[b.group()] = append(members[b.group()], b)
	}
	all := 0
	for _, group := range groups {
		shown := 0
		for _, b := range members[group] {
			if len(b.tests) > 0 {
				shown++
			}
		}
		all += shown
		fmt.Fprintf(out, "%s: %d of %d\n", group, shown, len(members[group]))
		for _, b := range members[group] {
			switch {
			case len(b.tests) == 0:
				fmt.Fprintf(out, "  - %s\n", b.name())
			case !missing:
				fmt.Fprintf(out, "  + %s (%s)\n", b.name(), strings.Join(b.tests, ", "))
			}
		}
	}
	fmt.Fprintf(out, "all: %d of %d\n", all, len(behaviours))
}
