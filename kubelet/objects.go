package kubelet

import (
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/septet-io/septet/kubelet/spec"
	"github.com/septet-io/septet/kubelet/volume/objects"
)

// objectStore keeps the ConfigMaps and Secrets that pods refer to in their
// environment and for pulling images, each watched by name while a pod uses it.
type objectStore struct {
	store
	changed func(types.UID)

	mu sync.Mutex
	// users of each object, and the objects that each pod uses.
	users map[objects.Key]map[types.UID]bool
	uses  map[types.UID][]objects.Key
}

type store = *objects.Store

// newObjectStore returns an empty store; changed is told of each pod that uses an
// object that changed.
func newObjectStore(client kubernetes.Interface, changed func(types.UID)) *objectStore {
	o := &objectStore{changed: changed, users: map[objects.Key]map[types.UID]bool{}, uses: map[types.UID][]objects.Key{}}
	o.store = objects.New(client, o.tell)
	return o
}

// Use implements pod.Objects.
func (o *objectStore) Use(uid types.UID, pod *v1.Pod) {
	keys := keysOf(pod)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		if o.users[key][uid] {
			continue
		}
		if o.users[key] == nil {
			o.users[key] = map[types.UID]bool{}
			o.store.Acquire(key)
		}
		o.users[key][uid] = true
	}
	wanted := make(map[objects.Key]bool, len(keys))
	for _, key := range keys {
		wanted[key] = true
	}
	for _, key := range o.uses[uid] {
		if wanted[key] {
			continue
		}
		if delete(o.users[key], uid); len(o.users[key]) == 0 {
			delete(o.users, key)
			o.store.Release(key)
		}
	}
	if o.uses[uid] = keys; len(keys) == 0 {
		delete(o.uses, uid)
	}
}

// tell has the pods that use an object look again.
func (o *objectStore) tell(key objects.Key) {
	o.mu.Lock()
	uids := make([]types.UID, 0, len(o.users[key]))
	for uid := range o.users[key] {
		uids = append(uids, uid)
	}
	o.mu.Unlock()
	for _, uid := range uids {
		o.changed(uid)
	}
}

// keysOf lists the objects that a pod's containers and image pulls refer to.
func keysOf(pod *v1.Pod) []objects.Key {
	if pod == nil {
		return nil
	}
	seen := map[objects.Key]bool{}
	var keys []objects.Key
	add := func(kind objects.Kind, name string) {
		key := objects.Key{Kind: kind, Namespace: pod.Namespace, Name: name}
		if name != "" && !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	for _, ref := range pod.Spec.ImagePullSecrets {
		add(objects.Secret, ref.Name)
	}
	spec.EachContainer(pod, func(c *v1.Container, _ spec.Kind) {
		for i := range c.EnvFrom {
			if r := c.EnvFrom[i].ConfigMapRef; r != nil {
				add(objects.ConfigMap, r.Name)
			}
			if r := c.EnvFrom[i].SecretRef; r != nil {
				add(objects.Secret, r.Name)
			}
		}
		for i := range c.Env {
			from := c.Env[i].ValueFrom
			if from == nil {
				continue
			}
			if from.ConfigMapKeyRef != nil {
				add(objects.ConfigMap, from.ConfigMapKeyRef.Name)
			}
			if from.SecretKeyRef != nil {
				add(objects.Secret, from.SecretKeyRef.Name)
			}
		}
	})
	return keys
}
