package scheduler

import (
	"net/http"

	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/snapshot"
)

type archive struct{}

func newArchive() *archive { return &archive{} }

func (*archive) ServeHTTP(http.ResponseWriter, *http.Request) {}
func (*archive) attach(*scheduler)                            {}
func (*archive) detach(*scheduler)                            {}
func (*archive) note(*attempt, *decide.Result, uint64, *snapshot.Snapshot) {
}
