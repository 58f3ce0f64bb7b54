package rest

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// verb is one of the functions that serve requests.
type verb func(w http.ResponseWriter, req *http.Request, s *request.State) error

// Serve answers a request to the resource or one of its subresources. Errors are answered too.
func (r *Resource) Serve(w http.ResponseWriter, req *http.Request, s *request.State) {
	s.Warn(r.Deprecation)
	serve, err := r.route(s)
	if err == nil {
		err = serve(w, req, s)
	}
	if err == nil {
		return
	}
	var gone errWentAway
	if errors.As(err, &gone) {
		klog.FromContext(req.Context()).V(4).Info("Client went away", "err", gone.error)
		return
	}
	request.Error(w, req, err)
}

// route finds the function for what is asked.
func (r *Resource) route(s *request.State) (verb, error) {
	if err := r.misplaced(s); err != nil {
		return nil, err
	}
	if s.Subresource != "" {
		return r.routeSubresource(s)
	}
	if connect := r.Connect[""]; connect != nil && s.Verb == "create" {
		return r.connection(connect), nil
	}
	if !slices.Contains(r.Verbs, s.Verb) {
		return nil, errNotAllowed
	}
	switch s.Verb {
	case "create":
		if s.Name != "" {
			return nil, errNotAllowed
		}
		return r.create, nil
	case "get":
		return r.get, nil
	case "list":
		return r.list, nil
	case "watch":
		return r.watch, nil
	case "update":
		return r.named(s, r.update)
	case "patch":
		return r.named(s, r.patch)
	case "delete":
		return r.deleteObject, nil
	case "deletecollection":
		return r.deleteCollection, nil
	}
	return nil, errNotAllowed
}

// misplaced refuses the paths that a resource of its scope does not have: objects with a namespace are nowhere but below it, save
// for the collection of all, which can be read; the others are never below one.
func (r *Resource) misplaced(s *request.State) error {
	reads := s.Verb == "list" || s.Verb == "watch"
	named := s.PathNames()
	switch {
	case !r.Namespaced():
		if s.Namespace != "" && !s.IsNamespace() || named && !slices.Contains(r.Verbs, "get") {
			return errNoResource
		}
	case s.Namespace != "", reads && !named && slices.Contains(r.Verbs, s.Verb):
	case !named && r.Custom == nil && slices.Contains(r.Verbs, "list"):
		return errNotAllowed // a path of reads
	default:
		return errNoResource
	}
	return nil
}

// named refuses a verb for one object on a collection.
func (r *Resource) named(s *request.State, serve verb) (verb, error) {
	if s.Name == "" {
		return nil, errNotAllowed
	}
	return serve, nil
}

// routeSubresource finds the function for a view, the scale, or a subresource with behaviour of its own.
func (r *Resource) routeSubresource(s *request.State) (verb, error) {
	if connect := r.Connect[s.Subresource]; connect != nil {
		return r.connection(connect), nil
	}
	table := map[string]verb(nil)
	if view := r.View(s.Subresource); view != nil {
		if !slices.Contains(view.Verbs, s.Verb) {
			return nil, errNotAllowed
		}
		table = map[string]verb{"get": r.get, "update": r.update, "patch": r.patch}
	} else if s.Subresource == "scale" && r.Scale != nil {
		table = map[string]verb{"get": r.getScale, "update": r.updateScale, "patch": r.patchScale}
	} else {
		return nil, errNoResource
	}
	if serve := table[s.Verb]; serve != nil {
		return serve, nil
	}
	return nil, errNotAllowed
}

// Has says whether the resource has a subresource of that name; every one has the empty one.
func (r *Resource) Has(subresource string) bool {
	return subresource == "" || r.Connect[subresource] != nil || r.View(subresource) != nil || subresource == "scale" && r.Scale != nil
}

// errNotAllowed is the answer to a method that a path does not have.
var errNotAllowed = apierrors.NewGenericServerResponse(http.StatusMethodNotAllowed, "", schema.GroupResource{}, "", "", 0, false)

// errNoResource is the answer to a path that nothing is served at.
var errNoResource = apierrors.NewGenericServerResponse(http.StatusNotFound, "", schema.GroupResource{}, "", "the server could not find the requested resource", 0, false)

// connection hands a request to behaviour that stands elsewhere.
func (r *Resource) connection(connect Handler) verb {
	return func(w http.ResponseWriter, req *http.Request, s *request.State) error {
		return connect(w, req, &Connection{Resource: r, Key: r.key(s), Rest: s.Rest, User: s.User})
	}
}

// Admit asks admission about a connection or another request that is no plain write. It changes a.Object.
func (r *Resource) Admit(req *http.Request, a *admission.Attributes) error {
	s := request.From(req.Context())
	a.Resource, a.Subresource, a.Scope = r.Kind.Resource, s.Subresource, r.Scope
	a.Namespace, a.Name, a.User = s.Namespace, s.Name, s.User
	a.Annotate, a.AnnotateRequest, a.Warned = s.Annotate, s.AnnotateRequest, s.Warn
	if err := r.Env.Admission.Admit(req.Context(), a); err != nil {
		return err
	}
	return r.Env.Admission.Validate(req.Context(), a)
}

// shallowCopy copies an object's own struct; what it points to is shared.
func shallowCopy(obj resource.Object) resource.Object {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		return &unstructured.Unstructured{Object: maps.Clone(u.Object)}
	}
	from := reflect.ValueOf(obj).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	return to.Interface().(resource.Object)
}
