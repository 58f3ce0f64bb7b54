package rotate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/cri"
)

// writer is a runtime whose one container writes to path.
type writer struct {
	cri.Containers
	path   string
	opened int
	fail   error
}

func (w *writer) ListContainers(context.Context, *runtimeapi.ContainerFilter) ([]*runtimeapi.Container, error) {
	return []*runtimeapi.Container{{Id: "c"}}, nil
}

func (w *writer) ContainerStatus(context.Context, string, bool) (*runtimeapi.ContainerStatusResponse, error) {
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{Id: "c", LogPath: w.path}}, nil
}

func (w *writer) ReopenContainerLog(context.Context, string) error {
	if w.fail != nil {
		return w.fail
	}
	w.opened++
	return os.WriteFile(w.path, nil, 0o600)
}

func TestALargeLogIsPutAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := &writer{path: filepath.Join(dir, "0.log")}
	c := &Config{Runtime: w, MaxSize: 100, MaxFiles: 3}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	round := func(size int) string {
		t.Helper()
		if err := os.WriteFile(w.path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		if err := c.once(context.Background(), now); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, filepath.Base(f))
		}
		return fmt.Sprint(names)
	}
	for i, step := range []struct {
		size int
		want string
	}{
		{50, "[0.log]"},
		{100, "[0.log 0.log.20260101-000002]"},
		{150, "[0.log 0.log.20260101-000002.gz 0.log.20260101-000003]"},
		{150, "[0.log 0.log.20260101-000003.gz 0.log.20260101-000004]"},
	} {
		if got := round(step.size); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
	if w.opened != 3 {
		t.Errorf("opened %d times", w.opened)
	}
	// A runtime that cannot open another keeps the one it has.
	w.fail = fmt.Errorf("no")
	if got := round(150); got != "[0.log 0.log.20260101-000004.gz]" {
		t.Errorf("after a failure: %s", got)
	}
}
