package history

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest"
)

// Event is one change, as etcd itself tells it or as a watch showed it.
type Event struct {
	Type     watch.EventType
	Key      store.Key
	Revision int64
	Value    string
}

// Truth is what happened to ConfigMaps, from etcd's own history, which must not have been compacted. Value is what their data has
// under "value".
func Truth(t testing.TB, client *clientv3.Client) (all []Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	codec := store.ProtobufCodec(storetest.ConfigMaps)
	const prefix = "/registry/configmaps/"
	last := int64(0)
	state, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range state.Kvs {
		last = max(last, kv.ModRevision)
	}
	values := map[store.Key]string{}
	for response := range client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(1)) {
		if err := response.Err(); err != nil {
			t.Fatal(err)
		}
		for _, event := range response.Events {
			namespace, name, _ := strings.Cut(strings.TrimPrefix(string(event.Kv.Key), prefix), "/")
			o := Event{Key: store.Key{Namespace: namespace, Name: name}, Revision: event.Kv.ModRevision}
			before, existed := values[o.Key]
			switch {
			case event.Type == clientv3.EventTypeDelete:
				o.Type, o.Value = watch.Deleted, before
				delete(values, o.Key)
			default:
				object, err := codec.Decode(event.Kv.Value)
				if err != nil {
					t.Fatal(err)
				}
				o.Type, o.Value = watch.Added, object.(*corev1.ConfigMap).Data["value"]
				if existed {
					o.Type = watch.Modified
				}
				values[o.Key] = o.Value
			}
			all = append(all, o)
			if o.Revision >= last {
				return all
			}
		}
	}
	t.Fatal("etcd's own watch ended")
	return nil
}

// In returns the events of a namespace, of all if that is empty.
func In(namespace string, all []Event) (some []Event) {
	for _, o := range all {
		if namespace == "" || namespace == o.Key.Namespace {
			some = append(some, o)
		}
	}
	return some
}

// Last is the name of the objects that are created when all clients are done, one in each namespace: what every watch waits for.
const Last = "end"

// Watched fails the test unless a watch showed just what happened up to the last objects: in order, once, with nothing missed. A write whose
// answer never came may still happen after them.
func Watched(t testing.TB, namespace string, got, truth []Event) {
	t.Helper()
	want := upToLast(In(namespace, truth))
	got = upToLast(got)
	for i := range max(len(got), len(want)) {
		difference := ""
		switch {
		case i >= len(got):
			difference = fmt.Sprintf("missed %+v", want[i])
		case i >= len(want):
			difference = fmt.Sprintf("too much: %+v", got[i])
		case got[i] != want[i]:
			difference = fmt.Sprintf("event %d is %+v, want %+v", i, got[i], want[i])
		}
		if difference != "" {
			t.Errorf("a watch of %q differs from what happened: %s", namespace, difference)
			return
		}
	}
}

func upToLast(events []Event) []Event {
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Key.Name == Last {
			return events[:i+1]
		}
	}
	return events
}

// Listed fails the test unless a list is the state at its revision, all of it.
func Listed(t testing.TB, namespace string, revision int64, items map[store.Key]int64, truth []Event) {
	t.Helper()
	state := map[store.Key]int64{}
	for _, o := range In(namespace, truth) {
		if o.Revision > revision {
			break
		}
		state[o.Key] = o.Revision
		if o.Type == watch.Deleted {
			delete(state, o.Key)
		}
	}
	for key, at := range items {
		if state[key] != at {
			t.Errorf("a list at %d has %v at %d, then it was at %d", revision, key, at, state[key])
		}
	}
	for key, at := range state {
		if items[key] == 0 {
			t.Errorf("a list at %d lacks %v, which then was at %d", revision, key, at)
		}
	}
}

// Answered fails the test unless etcd has the change that an answer to a write names.
func Answered(t testing.TB, in Input, out Output, truth map[int64]Event) {
	t.Helper()
	if in.Verb == "get" || out.Revision == 0 {
		return
	}
	if o, ok := truth[out.Revision]; !ok || o.Key != in.Key {
		t.Errorf("%+v was answered with revision %d, where etcd has %+v", in, out.Revision, o)
	}
}
