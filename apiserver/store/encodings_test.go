package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

func TestAnItemIsEncodedOnceHoweverManyAsk(t *testing.T) {
	t.Parallel()
	item := &Item{Object: &corev1.Pod{}}
	var calls atomic.Int32
	encodings := []Encoding{}
	for _, name := range []string{"application/json;v1", "application/vnd.kubernetes.protobuf;v1"} {
		encodings = append(encodings, Encoding{Name: name, Encode: func(resource.Object) ([]byte, error) {
			calls.Add(1)
			return []byte(name), nil
		}})
	}
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			encoding := encodings[n%2]
			if bytes, err := item.Encoded(encoding); err != nil || string(bytes) != encoding.Name {
				t.Errorf("%s is %q, %v", encoding.Name, bytes, err)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 2 {
		t.Errorf("encoded %d times", calls.Load())
	}
}

// TestEncodingsAreBounded: the newest are kept, within the bound; with time all go.
func TestEncodingsAreBounded(t *testing.T) {
	t.Parallel()
	k := &keeper{bound: 4000}
	var items []*Item
	for n := range 100 {
		item := &Item{}
		item.encodings.Store(&encoded{name: fmt.Sprint(n)})
		items = append(items, item)
		k.add(item, 100)
	}
	count := func() (kept int) {
		for _, item := range items {
			if item.encodings.Load() != nil {
				kept++
			}
		}
		return kept
	}
	if kept := count(); kept > 40 || kept < 25 || items[99].encodings.Load() == nil || items[0].encodings.Load() != nil {
		t.Fatalf("%d encodings of 100 bytes are kept within 4000", kept)
	}
	for range generations {
		k.age()
	}
	if kept := count(); kept != 0 {
		t.Fatalf("%d encodings are kept for ever", kept)
	}
	k.timer.Stop()
}
