package objects

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// entry is one object in use and the goroutine that follows it.
type entry struct {
	key    Key
	users  int // guarded by Store.mu
	cancel context.CancelFunc
	// ready is closed after the first answer, whatever it was.
	ready     chan struct{}
	readyOnce sync.Once

	mu     sync.Mutex
	object metav1.Object // nil: err says why
	err    error
}

func (e *entry) read() (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.object == nil {
		return nil, e.err
	}
	return e.object, nil
}

// set takes what was seen and says whether that is news.
func (e *entry) set(object metav1.Object, err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	news := true
	if object != nil && e.object != nil {
		news = object.GetResourceVersion() != e.object.GetResourceVersion()
	}
	e.object, e.err = object, err
	return news
}

// problem notes an error while looking. A known object stays: a server that is away for a while does not take volumes with it.
func (e *entry) problem(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.object == nil {
		e.err = err
	}
}

func (e *entry) open() (first bool) {
	e.readyOnce.Do(func() { close(e.ready); first = true })
	return first
}

const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// errImmutable ends the following: the object cannot change any more.
var errImmutable = errors.New("immutable")

// follow lists the object once and then watches it until it is released, again and again.
func (s *Store) follow(ctx context.Context, e *entry) {
	retry := firstRetry
	for ctx.Err() == nil {
		version, err := s.list(ctx, e)
		for err == nil {
			retry = firstRetry
			version, err = s.watch(ctx, e, version)
		}
		if errors.Is(err, errImmutable) || ctx.Err() != nil {
			return
		}
		if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			e.problem(err)
			e.open()
			pause(ctx, retry+rand.N(retry))
			retry = min(2*retry, lastRetry)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// list looks at the object now and returns the version to watch from.
func (s *Store) list(ctx context.Context, e *entry) (version string, err error) {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", e.key.Name).String()}
	var found metav1.Object
	switch e.key.Kind {
	case Secret:
		list, err := s.client.CoreV1().Secrets(e.key.Namespace).List(ctx, options)
		if err != nil {
			return "", err
		}
		version = list.ResourceVersion
		for i := range list.Items {
			if list.Items[i].Name == e.key.Name {
				found = &list.Items[i]
			}
		}
	default:
		list, err := s.client.CoreV1().ConfigMaps(e.key.Namespace).List(ctx, options)
		if err != nil {
			return "", err
		}
		version = list.ResourceVersion
		for i := range list.Items {
			if list.Items[i].Name == e.key.Name {
				found = &list.Items[i]
			}
		}
	}
	return version, s.saw(e, found)
}

// saw takes an observation of the object (nil: it is not there) and tells whoever wants to know.
func (s *Store) saw(e *entry, object metav1.Object) error {
	var news bool
	if object == nil {
		news = e.set(nil, apierrors.NewNotFound(schema.GroupResource{Resource: plural[e.key.Kind]}, e.key.Name))
	} else {
		news = e.set(object, nil)
	}
	// The first answer is for those who wait on ready; only later ones are changes.
	if first := e.open(); !first && news {
		s.changed(e.key)
	}
	if immutable(object) {
		return errImmutable
	}
	return nil
}

var plural = map[Kind]string{ConfigMap: "configmaps", Secret: "secrets"}

func immutable(object metav1.Object) bool {
	switch o := object.(type) {
	case *corev1.ConfigMap:
		return o.Immutable != nil && *o.Immutable
	case *corev1.Secret:
		return o.Immutable != nil && *o.Immutable
	}
	return false
}

// watch follows the object from version until the server ends the watch, and returns the version to go on from.
func (s *Store) watch(ctx context.Context, e *entry, version string) (string, error) {
	w, err := s.startWatch(ctx, e.key, metav1.ListOptions{
		FieldSelector:       fields.OneTermEqualSelector("metadata.name", e.key.Name).String(),
		ResourceVersion:     version,
		AllowWatchBookmarks: true,
	})
	if err != nil {
		return version, err
	}
	defer w.Stop()
	started, events := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return version, ctx.Err()
		case event, ok := <-w.ResultChan():
			if !ok {
				if events == 0 && time.Since(started) < time.Second {
					return version, errors.New("watch ended at once")
				}
				return version, nil
			}
			events++
			if event.Type == watch.Error {
				return version, apierrors.FromObject(event.Object)
			}
			object, ok := event.Object.(metav1.Object)
			if !ok {
				continue
			}
			version = object.GetResourceVersion()
			if event.Type == watch.Bookmark || object.GetName() != "" && object.GetName() != e.key.Name {
				continue
			}
			if event.Type == watch.Deleted {
				object = nil
			}
			if err := s.saw(e, object); err != nil {
				return version, err
			}
		}
	}
}

func (s *Store) startWatch(ctx context.Context, key Key, options metav1.ListOptions) (watch.Interface, error) {
	if key.Kind == Secret {
		return s.client.CoreV1().Secrets(key.Namespace).Watch(ctx, options)
	}
	return s.client.CoreV1().ConfigMaps(key.Namespace).Watch(ctx, options)
}
