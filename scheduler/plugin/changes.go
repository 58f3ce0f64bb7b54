package plugin

import (
	"sync"

	"k8s.io/client-go/tools/cache"
)

// Changes lets bindings wait for objects of one kind without polling.
type Changes struct {
	mu      sync.Mutex
	waiting map[string]chan struct{} // by "namespace/name"; closed when the object changes
}

// NewChanges follows an informer until the plugin is used no more.
func NewChanges(informer cache.SharedIndexInformer, env *Env) (*Changes, error) {
	c := &Changes{waiting: map[string]chan struct{}{}}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, obj any) { c.tell(obj) },
		DeleteFunc: c.tell,
	})
	if err == nil && env.Cleanup != nil {
		env.Cleanup(func() { _ = informer.RemoveEventHandler(registration) })
	}
	return c, err
}

func (c *Changes) tell(obj any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return // not an object
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch, ok := c.waiting[key]; ok {
		close(ch)
		delete(c.waiting, key)
	}
}

// Next returns a channel that is closed at the object's next change. Ask for it before looking at the object.
func (c *Changes) Next(key string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch, ok := c.waiting[key]
	if !ok {
		ch = make(chan struct{})
		c.waiting[key] = ch
	}
	return ch
}
