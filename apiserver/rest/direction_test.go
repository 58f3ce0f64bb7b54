package rest

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

type takesAll struct{ taken int }

func (t *takesAll) Offer(_, _, _ []byte) (bool, request.Flusher) { t.taken++; return true, nil }

// TestAnEventThatCannotBeMadeIsTheHandlers: the feed, which serves all watches, goes on.
func TestAnEventThatCannotBeMadeIsTheHandlers(t *testing.T) {
	t.Parallel()
	r := &Resource{Kind: &resource.Kind{Resource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}}}
	client := &takesAll{}
	d := &direction{&framer{r: r, accept: request.Accept{Format: request.JSON}}, client}
	taken, later := d.Offer([]store.Event{{Type: watch.Added}}, true) // there is no item
	if taken != 0 || later != nil || client.taken != 0 {
		t.Errorf("took %d, to flush %v", taken, later)
	}
}
