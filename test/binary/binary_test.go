// Package binary looks at bin/septet as `make build` leaves it: how large it is, and that the linker has left out what nothing calls.
package binary

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// built is the program, without which there is nothing to look at.
func built(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile("../../bin/septet")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("bin/septet is not built")
	}
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// limit is in bytes, with everything carried.
const limit = 120_000_000

func TestTheBinaryIsSmall(t *testing.T) {
	t.Parallel()
	if size := len(built(t)); size > limit {
		t.Errorf("bin/septet has %.1f MB, more than %.0f MB", float64(size)/1e6, limit/1e6)
	}
}

// TestMethodsThatNothingCallsAreLeftOut: one call of reflect's Method by a name or number that is not constant makes the linker keep
// every exported method of every type. The names of all functions are in a stripped program too.
func TestMethodsThatNothingCallsAreLeftOut(t *testing.T) {
	t.Parallel()
	content := built(t)
	if !bytes.Contains(content, []byte("net/http.(*Cookie).String")) {
		t.Fatal("the names of functions are not to be found; this test finds nothing")
	}
	for function, meaning := range map[string]string{
		"net/http.(*Cookie).Valid":          "which nothing calls, is there: methods are not left out any more",
		"text/template.(*state).evalField":  "which calls methods by name, is linked",
		"cmp/internal/value.appendTypeName": "which lists methods, is linked",
	} {
		if bytes.Contains(content, []byte(function)) {
			t.Errorf("%s, %s; docs/decisions/binary-size.md says how to find the cause", function, meaning)
		}
	}
}

// TestNoTemplatesAreLinked finds the likeliest cause by name, without a binary.
func TestNoTemplatesAreLinked(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-deps", "-tags", "grpcnotrace", "../../cmd/septet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	for _, name := range linked {
		switch name {
		case "html/template", "golang.org/x/net/trace", "go.etcd.io/etcd/server/v3/embed", "net/rpc":
			t.Errorf("%s is linked: its templates call methods by name", name)
		}
	}
	if len(linked) < 500 {
		t.Errorf("only %d packages", len(linked))
	}
}
