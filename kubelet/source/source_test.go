package source

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// seen is a Sink that passes on what it is told.
type seen chan string

func (s seen) Upsert(source string, pod *v1.Pod) { s <- "has " + pod.Name + " from " + source }
func (s seen) Delete(_ string, pod *v1.Pod)      { s <- "lost " + pod.Name }
func (s seen) Synced(source string)              { s <- "synced " + source }
func (s seen) Bad(_, where string, _ error)      { s <- "bad " + filepath.Base(where) }

func (s seen) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-s:
			if got != w {
				t.Fatalf("%q, want %q", got, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("never: %q", w)
		}
	}
}

func manifest(name string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {containers: [{name: c, image: i}]}\n"
}

func TestAFolderIsFollowed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "manifests") // not there yet
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	s := make(seen, 10)
	go WatchFolder(ctx, dir, "n", time.Hour, nil, s)
	s.expect(t) // nothing
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "synced file")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", manifest("a"))
	s.expect(t, "has a-n from file")
	write("bad.yaml", "kind: Pod")
	s.expect(t, "bad bad.yaml")
	write("a.yaml", strings.Replace(manifest("a"), "image: i", "image: j", 1))
	s.expect(t, "lost a-n", "has a-n from file")
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "lost a-n")
}

func TestAURLIsAsked(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "t" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(manifest("b")))
	}))
	t.Cleanup(server.Close)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	s := make(seen, 10)
	go PollURL(ctx, server.URL, map[string][]string{"X-Token": {"t"}}, "n", time.Hour, nil, s)
	s.expect(t, "has b-n from http", "synced http")
	refused := make(seen, 10)
	go PollURL(ctx, server.URL, nil, "n", time.Hour, nil, refused)
	select {
	case got := <-refused:
		if !strings.HasPrefix(got, "bad ") {
			t.Error(got)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing is told")
	}
}

func TestAStaticPodRefersToNothingInTheAPI(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"secret":  "volumes: [{name: v, secret: {secretName: s}}]",
		"account": "serviceAccountName: x",
		"claim":   "volumes: [{name: v, persistentVolumeClaim: {claimName: s}}]",
	} {
		pods, err := parse([]byte(strings.Replace(manifest("x"), "spec: {", "spec: {"+text+", ", 1)))
		if err != nil {
			t.Fatal(name, err)
		}
		if static(pods[0], File, "f", "n", nil) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(manifest("a"))
	f.Add("kind: PodList\napiVersion: v1\nitems: [{}]")
	f.Add("{")
	f.Fuzz(func(t *testing.T, text string) {
		pods, err := parse([]byte(text))
		if err != nil {
			return
		}
		for _, pod := range pods {
			if err := static(pod, File, "f", "n", nil); err == nil && (pod.UID == "" || pod.Spec.NodeName != "n") {
				t.Errorf("%q is a pod without identity", text)
			}
		}
	})
}
