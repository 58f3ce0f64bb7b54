package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const list = `
- {testname: Runs, codename: '[sig-node] Pods should run'}
- {testname: Stops, codename: '[sig-node] Pods should stop'}
- {testname: Twice, codename: '[sig-apps] once'}
- {testname: Twice, codename: '[sig-apps] again'}
`

// tree writes a list and a test whose comment has the claims.
func tree(t *testing.T, claims ...string) (file, root string) {
	t.Helper()
	root = t.TempDir()
	file = filepath.Join(root, "list.yaml")
	source := "package a\n\n" + marker + strings.Join(claims, "\n"+marker) + "\nfunc TestA() {}\n"
	for path, text := range map[string]string{
		file: list, filepath.Join(root, "a", "a_test.go"): source,
		filepath.Join(root, "a", "a.go"): marker + "Stops\n", filepath.Join(root, "testdata", "b_test.go"): marker + "Stops\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file, root
}

func TestWhatTestsShowIsCounted(t *testing.T) {
	t.Parallel()
	file, root := tree(t, "Runs", "[sig-apps] again")
	for missing, want := range map[bool]string{
		false: "sig-node: 1 of 2\n  + Runs (a/a_test.go:3)\n  - Stops\nsig-apps: 1 of 2\n  - [sig-apps] once\n  + [sig-apps] again (a/a_test.go:4)\nall: 2 of 4\n",
		true:  "sig-node: 1 of 2\n  - Stops\nsig-apps: 1 of 2\n  - [sig-apps] once\nall: 2 of 4\n",
	} {
		var out strings.Builder
		if err := run(&out, file, root, missing); err != nil || out.String() != want {
			t.Errorf("missing %v: %v\n%s\nwant\n%s", missing, err, out.String(), want)
		}
	}
}

func TestNamesThatMeanNothingAreErrors(t *testing.T) {
	t.Parallel()
	file, root := tree(t, "Walks", "Twice", "Runs")
	var out strings.Builder
	err := run(&out, file, root, false)
	for _, want := range []string{`a/a_test.go:3: there is no behaviour "Walks"`, `a/a_test.go:4: "Twice" may mean any of ["[sig-apps] once" "[sig-apps] again"]`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if !strings.Contains(out.String(), "+ Runs") {
		t.Errorf("what is right is not told:\n%s", &out)
	}
}

func TestAListMustBeOne(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "not a list": "a: b", "no codename": "- testname: a", "no entry": "- ", "too long": strings.Repeat("#", sizeLimit+1)} {
		file := filepath.Join(t.TempDir(), "list.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := read(file); err == nil {
			t.Errorf("%s: read as %v", name, got)
		}
	}
	if _, err := read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a list that is not there was read")
	}
}

// TestTheTreeNamesOnlyWhatThereIs is true of the tests of this repository.
func TestTheTreeNamesOnlyWhatThereIs(t *testing.T) {
	t.Parallel()
	file := os.Getenv("SEPTET_CONFORMANCE")
	if file == "" {
		file = filepath.Join("..", "..", "..", "shared", "conformance.yaml")
	}
	behaviours, err := read(file)
	if err != nil {
		t.Skipf("no list: %v", err)
	}
	claims, err := scan(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range match(behaviours, claims) {
		t.Error(err)
	}
}
