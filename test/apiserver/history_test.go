package apiserver

import (
	"context"
	"errors"
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest/history"
)

// TestHistoriesOverHTTP lets clients write, read, list and watch over TLS while the server's process, etcd within, is killed with
// SIGKILL or stopped, and started again. What they saw must be linearizable, and each watch and list must show just what etcd's own
// history has. HISTORIES=1000 judges so many.
func TestHistoriesOverHTTP(t *testing.T) {
	t.Parallel()
	count := 2
	if n, err := strconv.Atoi(os.Getenv("HISTORIES")); err == nil {
		count = n
	}
	for n := range count {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			server := startMortal(t)
			r := &recording{t: t, server: server, seed: uint64(n), began: time.Now()}
			r.make(3)
			r.judge()
		})
	}
}

const recordClients, recordOps = 6, 40

var recordKeys = []store.Key{{Namespace: "a", Name: "x"}, {Namespace: "a", Name: "y"}, {Namespace: "b", Name: "x"}}

// recording is one history.
type recording struct {
	t      *testing.T
	server *mortal
	seed   uint64
	began  time.Time
	values atomic.Int64
	done   atomic.Int64

	mu         sync.Mutex
	operations []porcupine.Operation
	lists      []listing
	watches    []*watching
}

type listing struct {
	namespace string
	revision  int64
	items     map[store.Key]int64
}

// make lets clients and watchers work while the server is killed at even points of the history.
func (r *recording) make(faults int) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Minute)
	defer cancel()
	admin := kubernetes.NewForConfigOrDie(r.server.admin(r.t))
	for _, name := range []string{"a", "b"} {
		if _, err := admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			r.t.Fatal(err)
		}
	}
	var clients, watchers sync.WaitGroup
	follow, stop := context.WithCancel(ctx)
	for i, namespace := range []string{"", "a", "b"} {
		w := &watching{namespace: namespace}
		w.reached.Store(1)
		r.watches = append(r.watches, w)
		set := kubernetes.NewForConfigOrDie(r.server.admin(r.t))
		watchers.Go(func() { w.follow(follow, set, rand.New(rand.NewPCG(r.seed, uint64(100+i)))) })
	}
	for n := range recordClients {
		set := kubernetes.NewForConfigOrDie(r.server.admin(r.t))
		clients.Go(func() { r.client(ctx, set, n) })
	}
	finished := make(chan struct{})
	go func() { clients.Wait(); close(finished) }()
	for i := range faults {
		for at := int64(recordClients*recordOps*(i+1)) / int64(faults+1); r.done.Load() < at && ctx.Err() == nil; {
			time.Sleep(time.Millisecond)
		}
		if i == faults-1 {
			r.server.stopAndRestart(r.t)
		} else {
			r.server.killAndRestart(r.t)
		}
	}
	<-finished
	r.end(ctx, admin)
	stop()
	watchers.Wait()
}

// client does random operations.
func (r *recording) client(ctx context.Context, set kubernetes.Interface, n int) {
	random := rand.New(rand.NewPCG(r.seed, uint64(n)))
	seen := map[store.Key]string{} // for preconditions
	for range recordOps {
		key := recordKeys[random.IntN(len(recordKeys))]
		in := history.Input{Key: key, Value: strconv.FormatInt(r.values.Add(1), 10)}
		switch random.IntN(10) {
		case 0, 1:
			in.Verb = "create"
		case 2, 3, 4:
			in.Verb = "update"
		case 5:
			in.Verb = "delete"
		case 6:
			r.list(ctx, set, n, []string{"", key.Namespace}[random.IntN(2)])
			continue
		default:
			in.Verb = "get"
		}
		if in.Verb == "update" || in.Verb == "delete" {
			in.Precondition = []string{"", seen[key]}[random.IntN(2)]
		}
		call := r.now()
		out := r.try(ctx, set, in)
		if out.Revision > 0 {
			seen[key] = strconv.FormatInt(out.Revision, 10)
		}
		r.record(n, in, out, call)
	}
}

// try asks until somebody listens: what nobody heard did not happen.
func (r *recording) try(ctx context.Context, set kubernetes.Interface, in history.Input) history.Output {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		out := do(ctx, set, in)
		if ctx.Err() != nil || !utilnet.IsConnectionRefused(out.Err) {
			return out
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *recording) now() int64 { return time.Since(r.began).Nanoseconds() }

// record keeps an operation. One whose outcome is not known may take effect at any time later.
func (r *recording) record(client int, in history.Input, out history.Output, call int64) {
	r.done.Add(1)
	end := r.now()
	if out.Unknown {
		if in.Verb == "get" {
			return
		}
		end = int64(1) << 60
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operations = append(r.operations, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: end})
}

// list is a get of each of its keys at once.
func (r *recording) list(ctx context.Context, set kubernetes.Interface, client int, namespace string) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	call := r.now()
	page, err := set.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
	for ; ctx.Err() == nil && utilnet.IsConnectionRefused(err); page, err = set.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{}) {
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		r.done.Add(1)
		return
	}
	l := listing{namespace: namespace, revision: revisionOf(page.ResourceVersion), items: map[store.Key]int64{}}
	found := map[store.Key]*corev1.ConfigMap{}
	for i := range page.Items {
		item := &page.Items[i]
		key := store.Key{Namespace: item.Namespace, Name: item.Name}
		found[key], l.items[key] = item, revisionOf(item.ResourceVersion)
	}
	for _, key := range recordKeys {
		if namespace != "" && namespace != key.Namespace {
			continue
		}
		out := history.Output{NotFound: true}
		if found[key] != nil {
			out = shown(found[key], nil)
		}
		r.record(client, history.Input{Verb: "get", Key: key}, out, call)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lists = append(r.lists, l)
}

func do(ctx context.Context, set kubernetes.Interface, in history.Input) history.Output {
	client := set.CoreV1().ConfigMaps(in.Key.Namespace)
	obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: in.Key.Name}, Data: map[string]string{"value": in.Value}}
	var err error
	switch in.Verb {
	case "get":
		obj, err = client.Get(ctx, in.Key.Name, metav1.GetOptions{})
	case "create":
		obj, err = client.Create(ctx, obj, metav1.CreateOptions{})
	case "update":
		obj.ResourceVersion = in.Precondition
		obj, err = client.Update(ctx, obj, metav1.UpdateOptions{})
	case "delete":
		options := metav1.DeleteOptions{}
		if in.Precondition != "" {
			options.Preconditions = &metav1.Preconditions{ResourceVersion: ptr.To(in.Precondition)}
		}
		if err = client.Delete(ctx, in.Key.Name, options); err == nil {
			return history.Output{Gone: true}
		}
	}
	return shown(obj, err)
}

func shown(obj *corev1.ConfigMap, err error) history.Output {
	switch {
	case apierrors.IsNotFound(err):
		return history.Output{NotFound: true}
	case apierrors.IsAlreadyExists(err):
		return history.Output{Exists: true}
	case apierrors.IsConflict(err):
		return history.Output{Conflict: true}
	case err != nil:
		return history.Output{Unknown: true, Err: err}
	}
	return history.Output{Revision: revisionOf(obj.ResourceVersion), Value: obj.Data["value"]}
}

func revisionOf(version string) int64 {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		panic(err) // a server that makes up versions
	}
	return n
}

// watching is what somebody saw who watches a namespace, and resumes whenever a watch ends or they have seen enough of it.
type watching struct {
	namespace string
	mu        sync.Mutex
	seen      []history.Event
	reached   atomic.Int64
	resumed   int
	failure   error
}

func (w *watching) follow(ctx context.Context, set kubernetes.Interface, random *rand.Rand) {
	for ctx.Err() == nil {
		from := strconv.FormatInt(w.reached.Load(), 10)
		stream, err := set.CoreV1().ConfigMaps(w.namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: from, AllowWatchBookmarks: true})
		if err != nil {
			if apierrors.IsGone(err) || apierrors.IsResourceExpired(err) {
				w.failure = err
			}
			time.Sleep(5 * time.Millisecond) // the server is starting
			continue
		}
		w.resumed++
		w.read(stream, 1+random.IntN(30))
		stream.Stop()
	}
}

// read takes some events, then leaves. Each revision changes one object, so it may leave after any.
func (w *watching) read(stream watch.Interface, most int) {
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			if err := apierrors.FromObject(event.Object); !apierrors.IsServiceUnavailable(err) && !apierrors.IsInternalError(err) && !errors.Is(err, context.Canceled) {
				w.failure = err
			}
			return
		}
		obj, ok := event.Object.(*corev1.ConfigMap)
		if !ok {
			w.failure = fmt.Errorf("a watch of ConfigMaps shows a %T", event.Object)
			return
		}
		revision := revisionOf(obj.ResourceVersion)
		if event.Type != watch.Bookmark {
			w.mu.Lock()
			w.seen = append(w.seen, history.Event{Type: event.Type, Key: store.Key{Namespace: obj.Namespace, Name: obj.Name}, Revision: revision, Value: obj.Data["value"]})
			w.mu.Unlock()
		}
		w.reached.Store(revision)
		if most--; most <= 0 {
			return
		}
	}
}

// end writes a last object in each namespace and waits until every watch has shown it.
func (r *recording) end(ctx context.Context, set kubernetes.Interface) {
	for _, namespace := range []string{"a", "b"} {
		last := int64(0)
		for last == 0 && ctx.Err() == nil {
			key := store.Key{Namespace: namespace, Name: history.Last}
			out := do(ctx, set, history.Input{Verb: "create", Key: key})
			if out.Exists {
				out = do(ctx, set, history.Input{Verb: "get", Key: key})
			}
			last = out.Revision
		}
		for _, w := range r.watches {
			for (w.namespace == "" || w.namespace == namespace) && w.reached.Load() < last {
				if ctx.Err() != nil {
					r.t.Fatalf("seed %d: a watch of %q stands still at %d before %d (%v)", r.seed, w.namespace, w.reached.Load(), last, w.failure)
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// judge applies all rules.
func (r *recording) judge() {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + r.server.etcdAddress}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	truth := history.Truth(r.t, client)
	byRevision := map[int64]history.Event{}
	for _, o := range truth {
		byRevision[o.Revision] = o
	}
	history.Linearizable(r.t, r.operations)
	for _, op := range r.operations {
		history.Answered(r.t, op.Input.(history.Input), op.Output.(history.Output), byRevision)
	}
	resumed := 0
	for _, w := range r.watches {
		resumed += w.resumed
		if w.failure != nil {
			r.t.Errorf("a watch of %q failed: %v", w.namespace, w.failure)
		}
		history.Watched(r.t, w.namespace, w.seen, truth)
	}
	for _, l := range r.lists {
		history.Listed(r.t, l.namespace, l.revision, l.items, truth)
	}
	if r.t.Failed() {
		r.t.Logf("seed %d", r.seed)
	}
	r.t.Logf("%d operations, %d lists, %d changes, %d watches resumed %d times", len(r.operations), len(r.lists), len(truth), len(r.watches), resumed)
}
