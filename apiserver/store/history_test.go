package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest"
	"github.com/septet-io/septet/apiserver/store/storetest/history"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/resource"
)

// Histories of concurrent clients of several servers are recorded while servers and etcd are restarted, and judged: operations
// must be linearizable, and each watch must show just what happened, in order, once, with nothing missed. HISTORIES=1000
// judges so many of each sort.

func histories() int {
	if n, err := strconv.Atoi(os.Getenv("HISTORIES")); err == nil {
		return n
	}
	return 3
}

// conformance: watch-consistency
// conformance: watch-configmaps-closed-and-restarted
func TestHistoriesWithRestartedServers(t *testing.T) {
	t.Parallel()
	for n := range histories() {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			member := startEtcd(t, etcd.Config{})
			h := newHistory(t, uint64(n), member.Client(), store.BackendOptions{Client: member.Client(), Revision: member.Revision, Dedicated: true})
			h.make(3, func(server *restartable) { server.restart() })
			h.judge()
		})
	}
}

func TestHistoriesWithKilledEtcd(t *testing.T) {
	t.Parallel()
	for n := range histories() {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			member := startKillable(t)
			client := member.dial(t)
			h := newHistory(t, uint64(n), member.dial(t), store.BackendOptions{Client: client})
			h.make(2, func(*restartable) { member.killAndRestart(t) })
			h.judge()
		})
	}
}

const (
	historyServers = 2
	historyClients = 6
	historyOps     = 40
)

var historyKeys = []store.Key{
	{Namespace: "a", Name: "x"}, {Namespace: "a", Name: "y"}, {Namespace: "b", Name: "x"},
}

// run is one history being made.
type run struct {
	t       *testing.T
	seed    uint64
	raw     *clientv3.Client
	servers []*restartable
	began   time.Time
	values  atomic.Int64
	// written counts operations, so that faults come at points in the history and not in time.
	written atomic.Int64

	mu         sync.Mutex
	operations []porcupine.Operation
	lists      []listed
	watches    []*watchRecord
}

// listed is a list and what was asked for.
type listed struct {
	namespace string
	page      *store.Page
}

func newHistory(t *testing.T, seed uint64, raw *clientv3.Client, options store.BackendOptions) *run {
	h := &run{t: t, seed: seed, raw: raw, began: time.Now()}
	for range historyServers {
		server := &restartable{options: options}
		server.open()
		t.Cleanup(server.stop)
		h.servers = append(h.servers, server)
	}
	return h
}

// restartable is a server whose cache begins anew now and then.
type restartable struct {
	options store.BackendOptions

	mu      sync.Mutex
	backend *store.Backend
	store   store.Store
}

func (r *restartable) open() {
	r.backend = store.Connect(r.options)
	r.store = store.New(storetest.OptionsFor(storetest.ConfigMaps, r.backend))
}

func (r *restartable) restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store.Stop()
	r.backend.Stop()
	r.open()
}

func (r *restartable) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store.Stop()
	r.backend.Stop()
}

func (r *restartable) get() store.Store {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store
}

// run lets clients and watchers work while faults happen at even points of the history.
func (h *run) make(faults int, fault func(*restartable)) {
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	var clients, watchers sync.WaitGroup
	watching, stopWatching := context.WithCancel(ctx)
	for n := range historyServers * 3 {
		record := &watchRecord{namespace: []string{"", "a", "b"}[n%3]}
		h.watches = append(h.watches, record)
		watchers.Go(func() { record.follow(watching, h.servers, rand.New(rand.NewPCG(h.seed, uint64(100+n)))) })
	}
	for n := range historyClients {
		clients.Go(func() { h.client(ctx, n) })
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	total := int64(historyClients * historyOps)
	for i := range faults {
		for h.written.Load() < total*int64(i+1)/int64(faults+1) && !closed(done) {
			time.Sleep(time.Millisecond)
		}
		fault(h.servers[i%historyServers])
	}
	<-done
	// The end is a write that every watch must reach.
	h.finish(ctx)
	stopWatching()
	watchers.Wait()
}

func closed(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// client does random operations on random servers.
func (h *run) client(ctx context.Context, n int) {
	random := rand.New(rand.NewPCG(h.seed, uint64(n)))
	// What the client saw last, for preconditions.
	seen := map[store.Key]string{}
	for range historyOps {
		s := h.servers[random.IntN(historyServers)].get()
		key := historyKeys[random.IntN(len(historyKeys))]
		in := history.Input{Key: key, Value: strconv.FormatInt(h.values.Add(1), 10)}
		switch random.IntN(10) {
		case 0, 1:
			in.Verb = "create"
		case 2, 3, 4:
			in.Verb = "update"
			if random.IntN(2) == 0 {
				in.Precondition = seen[key]
			}
		case 5:
			in.Verb = "delete"
			if random.IntN(2) == 0 {
				in.Precondition = seen[key]
			}
		case 6:
			h.list(ctx, n, s, []string{"", key.Namespace}[random.IntN(2)])
			continue
		default:
			in.Verb = "get"
		}
		opCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
		call := h.now()
		out := do(opCtx, s, in)
		cancel()
		if out.Revision > 0 {
			seen[key] = strconv.FormatInt(out.Revision, 10)
		}
		h.record(n, in, out, call)
	}
}

func (h *run) now() int64 { return time.Since(h.began).Nanoseconds() }

// record keeps an operation. One whose outcome is not known may take effect at any time later.
func (h *run) record(client int, in history.Input, out history.Output, call int64) {
	h.written.Add(1)
	end := h.now()
	if out.Unknown {
		if in.Verb == "get" {
			return
		}
		end = int64(1) << 60
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: end})
}

// list is a get of each of its keys at once; that they are of one moment is judged by the revision.
func (h *run) list(ctx context.Context, client int, s store.Store, namespace string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	call := h.now()
	page, err := s.List(ctx, store.Query{Namespace: namespace})
	if err != nil {
		h.written.Add(1)
		return
	}
	found := map[store.Key]*store.Item{}
	for _, item := range page.Items {
		found[item.Key] = item
	}
	for _, key := range historyKeys {
		if namespace == "" || namespace == key.Namespace {
			h.record(client, history.Input{Verb: "get", Key: key}, outputOf(found[key], nil), call)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lists = append(h.lists, listed{namespace, page})
}

func do(ctx context.Context, s store.Store, in history.Input) history.Output {
	var pre *store.Preconditions
	if in.Precondition != "" {
		pre = &store.Preconditions{ResourceVersion: ptr.To(in.Precondition)}
	}
	var item *store.Item
	var err error
	switch in.Verb {
	case "get":
		item, err = s.Get(ctx, in.Key, "")
	case "create":
		item, err = s.Create(ctx, in.Key, storetest.ConfigMap(in.Key.Namespace, in.Key.Name, in.Value), 0)
	case "update":
		item, _, err = s.Update(ctx, in.Key, pre, false, func(current *store.Item) (resource.Object, time.Duration, error) {
			changed := current.Object.DeepCopyObject().(*corev1.ConfigMap)
			changed.Data = map[string]string{"value": in.Value}
			return changed, 0, nil
		})
	case "delete":
		item, err = s.Delete(ctx, in.Key, pre, nil)
	}
	return outputOf(item, err)
}

func outputOf(item *store.Item, err error) history.Output {
	switch {
	case err == nil && item == nil, apierrors.IsNotFound(err):
		return history.Output{NotFound: true}
	case apierrors.IsAlreadyExists(err):
		return history.Output{Exists: true}
	case apierrors.IsConflict(err):
		return history.Output{Conflict: true}
	case err != nil:
		return history.Output{Unknown: true, Err: err}
	}
	return history.Output{Revision: item.Revision, Value: item.Object.(*corev1.ConfigMap).Data["value"]}
}
