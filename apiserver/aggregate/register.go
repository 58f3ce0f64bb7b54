package aggregate

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/septet-io/septet/apiserver/discovery"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/reconcile"
)

var definitionSample = &apiextensionsv1.CustomResourceDefinition{}

var apiServicesResource = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// The label by which APIServices are known that a server keeps itself, and how: once at its start, so that people may change them
// until the next one, or always.
const (
	managedLabel   = "kube-aggregator.kubernetes.io/automanaged"
	managedOnStart = "onstart"
	managedAlways  = "true"
)

// register is the state of keeping the APIServices of what is served here.
type register struct {
	// builtin are the group versions of built-in kinds, by the name of their APIService.
	builtin map[string]*apiregistrationv1.APIService

	mu sync.Mutex
	// Guarded by mu: which of builtin have been seen available, which APIServices have been brought in order, and which were
	// there at the start.
	seen, done, early map[string]bool
}

func (r *register) init(resources *rest.Registry) {
	r.builtin = map[string]*apiregistrationv1.APIService{}
	for one := range resources.All().Shown() {
		gv := one.GroupVersionKind.GroupVersion()
		if p, known := discovery.PriorityOf(gv); known && gv.Group != apiServicesResource.Group {
			r.builtin[gv.Version+"."+gv.Group] = localService(gv, p.Group, p.Version, managedOnStart)
		}
	}
	r.seen, r.done, r.early = map[string]bool{}, map[string]bool{}, map[string]bool{}
}

func localService(gv schema.GroupVersion, group, version int32, managed string) *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: gv.Version + "." + gv.Group, Labels: map[string]string{managedLabel: managed}},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: gv.Group, Version: gv.Version, GroupPriorityMinimum: group, VersionPriority: version,
		},
	}
}

// registration is the loop that keeps an APIService for each group version that is served here.
func (a *Aggregator) registration() reconcile.Controller {
	return reconcile.Controller{
		Name: "autoregister", Queue: "autoregister", Kind: "APIService", Workers: 5,
		Watches: []reconcile.Watch{{Informer: a.apiServices}, {Informer: a.definitions, Keys: reconcile.Each(servicesOf)}},
		Start: func(_ context.Context, enqueue func(reconcile.Key)) error {
			a.register.mu.Lock()
			defer a.register.mu.Unlock()
			for _, name := range a.apiServices.GetStore().ListKeys() {
				a.register.early[name] = true
			}
			for name := range a.register.builtin {
				enqueue(reconcile.Key{Name: name})
			}
			return nil
		},
		Reconcile: a.reconcileRegistration,
	}
}

// servicesOf are the APIServices of a definition's versions.
func servicesOf(crd *apiextensionsv1.CustomResourceDefinition) []reconcile.Key {
	keys := make([]reconcile.Key, 0, len(crd.Spec.Versions))
	for i := range crd.Spec.Versions {
		keys = append(keys, reconcile.Key{Name: crd.Spec.Versions[i].Name + "." + crd.Spec.Group})
	}
	return keys
}

func (a *Aggregator) reconcileRegistration(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	var current *apiregistrationv1.APIService
	if found, exists, err := a.apiServices.GetStore().GetByKey(key.Name); err != nil {
		return reconcile.Result{}, err
	} else if exists {
		current = found.(*apiregistrationv1.APIService)
	}
	desired := a.desired(key.Name)
	done, early := a.register.observe(current, key.Name)
	if err := a.act(ctx, decide(current, desired, done, early), current, desired); err != nil {
		return reconcile.Result{}, err
	}
	a.register.mu.Lock()
	defer a.register.mu.Unlock()
	a.register.done[key.Name] = true
	return reconcile.Result{}, nil
}

// desired is the APIService that there should be; nil: none of ours.
func (a *Aggregator) desired(name string) *apiregistrationv1.APIService {
	if found := a.register.builtin[name]; found != nil {
		return found
	}
	version, group, _ := strings.Cut(name, ".")
	for _, one := range a.definitions.GetStore().List() {
		crd, ok := one.(*apiextensionsv1.CustomResourceDefinition)
		if !ok || crd.Spec.Group != group {
			continue
		}
		if slices.ContainsFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Name == version && v.Served }) {
			return localService(schema.GroupVersion{Group: group, Version: version}, discovery.CustomPriority.Group, discovery.CustomPriority.Version, managedAlways)
		}
	}
	return nil
}

// observe notes that an APIService is available, and tells what is known of it.
func (r *register) observe(current *apiregistrationv1.APIService, name string) (done, early bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if current != nil && isAvailable(current) && r.builtin[name] != nil {
		r.seen[name] = true
	}
	return r.done[name], r.early[name]
}

// Registered is nil once the APIServices of all built-in group versions have been seen available.
func (a *Aggregator) Registered(context.Context) error {
	a.register.mu.Lock()
	defer a.register.mu.Unlock()
	if len(a.register.seen) == len(a.register.builtin) {
		return nil
	}
	var missing []string
	for name := range a.register.builtin {
		if !a.register.seen[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return fmt.Errorf("missing APIService: %v", missing)
}

// action is what is to be done about an APIService.
type action int

const (
	leave action = iota
	create
	update
	remove
)

// decide compares an APIService with what it should be; either may be nil. done: it has been brought in order before, since this server
// started; early: it was there when this server started.
func decide(current, desired *apiregistrationv1.APIService, done, early bool) action {
	once := func(obj *apiregistrationv1.APIService) bool { return obj.Labels[managedLabel] == managedOnStart }
	switch {
	case current == nil && desired == nil:
		return leave
	case desired != nil && once(desired) && done:
		return leave // whoever has changed it since meant to
	case current == nil:
		return create
	case current.Labels[managedLabel] != managedOnStart && current.Labels[managedLabel] != managedAlways:
		return leave // somebody else's
	case once(current) && (!early || done):
		return leave // another server's, of another version
	case desired == nil:
		return remove
	case reflect.DeepEqual(current.Spec, desired.Spec):
		return leave
	}
	return update
}

func (a *Aggregator) act(ctx context.Context, do action, current, desired *apiregistrationv1.APIService) error {
	client := a.config.Client.Dynamic.Resource(apiServicesResource)
	switch do {
	case create:
		content, err := unstructuredOf(desired)
		if err != nil {
			return err
		}
		if _, err = client.Create(ctx, content, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
			return nil // its event will bring this back
		}
		return err
	case update:
		changed := current.DeepCopy()
		changed.Spec = desired.Spec
		content, err := unstructuredOf(changed)
		if err != nil {
			return err
		}
		_, err = client.Update(ctx, content, metav1.UpdateOptions{})
		return ignoreGone(err)
	case remove:
		err := client.Delete(ctx, current.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(current.UID))})
		return ignoreGone(err)
	}
	return nil
}

// updateStatus writes the status of an APIService.
func (a *Aggregator) updateStatus(ctx context.Context, obj *apiregistrationv1.APIService) error {
	content, err := unstructuredOf(obj)
	if err != nil {
		return err
	}
	_, err = a.config.Client.Dynamic.Resource(apiServicesResource).UpdateStatus(ctx, content, metav1.UpdateOptions{})
	return err
}

func unstructuredOf(obj *apiregistrationv1.APIService) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: apiServicesResource.Group, Version: "v1", Kind: "APIService"})
	return u, nil
}

// ignoreGone: an object that was deleted or changed meanwhile comes back with its event.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
