// Package index gives shared informers the indexes that controllers look objects up by. An index is added
// once however many controllers (or components of the same process) ask for it.
package index

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// Names of the indexes.
const (
	controllerIndex = "controller"
	nodeIndex       = "node"
)

// orphans is what objects without a controller are indexed under, per namespace. No UID looks like it.
func orphans(namespace string) string { return "none in " + namespace }

// Controller indexes an informer's objects by the UID of the controller that owns them.
func Controller(informer cache.SharedIndexInformer) error {
	return add(informer, controllerIndex, func(obj any) ([]string, error) {
		object, ok := obj.(metav1.Object)
		if !ok {
			return nil, nil
		}
		if ref := metav1.GetControllerOfNoCopy(object); ref != nil {
			return []string{string(ref.UID)}, nil
		}
		return []string{orphans(object.GetNamespace())}, nil
	})
}

// Owned returns the objects that the controller of that UID owns. The informer must have been given to Controller.
func Owned[T any](informer cache.SharedIndexInformer, owner types.UID) []T {
	return lookup[T](informer, controllerIndex, string(owner))
}

// Orphans returns the objects of a namespace that no controller owns. The informer must have been given to Controller.
func Orphans[T any](informer cache.SharedIndexInformer, namespace string) []T {
	return lookup[T](informer, controllerIndex, orphans(namespace))
}

// Node indexes a Pod informer by spec.nodeName; Pods that are not bound are indexed under "".
func Node(pods cache.SharedIndexInformer) error {
	return add(pods, nodeIndex, func(obj any) ([]string, error) {
		pod, ok := obj.(*corev1.Pod)
		if !ok {
			return nil, nil
		}
		return []string{pod.Spec.NodeName}, nil
	})
}

// OnNode returns the Pods bound to a node. The informer must have been given to Node.
func OnNode(pods cache.SharedIndexInformer, node string) []*corev1.Pod {
	return lookup[*corev1.Pod](pods, nodeIndex, node)
}

// InNamespace returns the objects of a namespace from an informer's namespace index, which client-go's factories always add.
func InNamespace[T any](informer cache.SharedIndexInformer, namespace string) []T {
	return lookup[T](informer, cache.NamespaceIndex, namespace)
}

// All returns everything that an informer holds.
func All[T any](informer cache.SharedIndexInformer) []T {
	return typed[T](informer.GetIndexer().List())
}

// Get returns one object by namespace (empty for cluster-scoped kinds) and name; false if the informer does not hold it.
func Get[T any](informer cache.SharedIndexInformer, namespace, name string) (T, bool) {
	key := name
	if namespace != "" {
		key = namespace + "/" + name
	}
	obj, exists, err := informer.GetIndexer().GetByKey(key)
	object, ok := obj.(T)
	return object, exists && err == nil && ok
}

func add(informer cache.SharedIndexInformer, name string, index cache.IndexFunc) error {
	if _, found := informer.GetIndexer().GetIndexers()[name]; found {
		return nil
	}
	err := informer.AddIndexers(cache.Indexers{name: index})
	if err == nil {
		return nil
	}
	// Another component may have added it between the look and the add.
	if _, found := informer.GetIndexer().GetIndexers()[name]; found {
		return nil
	}
	return fmt.Errorf("index %q: %w", name, err)
}

func lookup[T any](informer cache.SharedIndexInformer, name, value string) []T {
	found, err := informer.GetIndexer().ByIndex(name, value)
	if err != nil {
		// Only an index that nobody added errs: a mistake in the program, made visible by the runner's guard.
		panic(fmt.Sprintf("index %q was never added: %v", name, err))
	}
	return typed[T](found)
}

func typed[T any](objects []any) []T {
	all := make([]T, 0, len(objects))
	for _, obj := range objects {
		if object, ok := obj.(T); ok {
			all = append(all, object)
		}
	}
	return all
}
