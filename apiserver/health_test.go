package apiserver

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
)

// TestBootIsNoReasonForARestart within its grace period; the server is not ready all the same.
func TestBootIsNoReasonForARestart(t *testing.T) {
	t.Parallel()
	graceful := true
	h := Health{Graceful: func() bool { return graceful }}
	h.Check("boot", Boot, func(context.Context) error { return errors.New("not yet") })
	ask := func(path string) int {
		w := httptest.NewRecorder()
		h.handler(path).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 500, "/healthz": 500} {
		if got := ask(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if graceful = false; ask("/livez") != 500 {
		t.Error("alive though the grace period is over")
	}
}
