package own

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

// Owners are the objects of one kind in an informer that control others, or would. They answer whom a change of those concerns.
type Owners[O metav1.Object] struct {
	Informer cache.SharedIndexInformer
	Kind     schema.GroupVersionKind
	// Selector is what an owner selects by.
	Selector func(O) *metav1.LabelSelector
	// Except, when set, are owners that another controller looks after: for us they are not there.
	Except func(O) bool
	// Match, when set, narrows what an owner adopts.
	Match func(O, metav1.Object) bool
}

// Of returns the owner that controls an object, if the cache holds that very one: the UID decides, not the name.
func (o *Owners[O]) Of(object metav1.Object) (owner O, found bool) {
	var none O
	ref := metav1.GetControllerOfNoCopy(object)
	if ref == nil || ref.Kind != o.Kind.Kind {
		return none, false
	}
	owner, found = index.Get[O](o.Informer, object.GetNamespace(), ref.Name)
	if !found || owner.GetUID() != ref.UID || o.Except != nil && o.Except(owner) {
		return none, false
	}
	return owner, true
}

// Key is Of for who needs the owner's key only.
func (o *Owners[O]) Key(object metav1.Object) (reconcile.Key, bool) {
	owner, found := o.Of(object)
	if !found {
		return reconcile.Key{}, false
	}
	return keyOf(owner), true
}

// Adopting returns the keys of those that want an object which nobody controls; none if somebody does.
func (o *Owners[O]) Adopting(object metav1.Object) []reconcile.Key {
	if metav1.GetControllerOfNoCopy(object) != nil {
		return nil
	}
	var keys []reconcile.Key
	for _, owner := range index.InNamespace[O](o.Informer, object.GetNamespace()) {
		if o.wants(owner, object) {
			keys = append(keys, keyOf(owner))
		}
	}
	return keys
}

func (o *Owners[O]) wants(owner O, object metav1.Object) bool {
	selector, err := metav1.LabelSelectorAsSelector(o.Selector(owner))
	return err == nil && !selector.Empty() && selector.Matches(labels.Set(object.GetLabels())) &&
		(o.Except == nil || !o.Except(owner)) && (o.Match == nil || o.Match(owner, object))
}

// Concerned returns the keys of those that a change of an object concerns: who controlled it, and who does so now or wants to. old
// is nil if the object is new, object if it is gone.
func (o *Owners[O]) Concerned(old, object metav1.Object) []reconcile.Key {
	var keys []reconcile.Key
	if old != nil {
		if key, found := o.Key(old); found {
			keys = append(keys, key)
		}
	}
	if object == nil {
		return keys
	}
	if key, found := o.Key(object); found && (len(keys) == 0 || keys[0] != key) {
		keys = append(keys, key)
	}
	return append(keys, o.Adopting(object)...)
}

func keyOf(object metav1.Object) reconcile.Key {
	return reconcile.Key{Namespace: object.GetNamespace(), Name: object.GetName()}
}
