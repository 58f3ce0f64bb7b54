package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	internalvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
)

// readOptions reads a query into options; absent parameters keep their zero value.
func readOptions[T any](req *http.Request, into *T, convert func(*url.Values, *T, conversion.Scope) error) error {
	query := request.Query(req)
	if query == nil {
		return nil
	}
	if err := convert(&query, into, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

func invalidOptions(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

func createOptions(req *http.Request) (*metav1.CreateOptions, error) {
	options := &metav1.CreateOptions{}
	if err := readOptions(req, options, metav1.Convert_url_Values_To_v1_CreateOptions); err != nil {
		return nil, err
	}
	options.TypeMeta = metav1.TypeMeta{Kind: "CreateOptions", APIVersion: "meta.k8s.io/v1"}
	return options, invalidOptions("CreateOptions", metavalidation.ValidateCreateOptions(options))
}

func updateOptions(req *http.Request) (*metav1.UpdateOptions, error) {
	options := &metav1.UpdateOptions{}
	if err := readOptions(req, options, metav1.Convert_url_Values_To_v1_UpdateOptions); err != nil {
		return nil, err
	}
	options.TypeMeta = metav1.TypeMeta{Kind: "UpdateOptions", APIVersion: "meta.k8s.io/v1"}
	return options, invalidOptions("UpdateOptions", metavalidation.ValidateUpdateOptions(options))
}

func patchOptions(req *http.Request, patch types.PatchType) (*metav1.PatchOptions, error) {
	options := &metav1.PatchOptions{}
	if err := readOptions(req, options, metav1.Convert_url_Values_To_v1_PatchOptions); err != nil {
		return nil, err
	}
	options.TypeMeta = metav1.TypeMeta{Kind: "PatchOptions", APIVersion: "meta.k8s.io/v1"}
	return options, invalidOptions("PatchOptions", metavalidation.ValidatePatchOptions(options, patch))
}

// listOptions reads what list, watch and deletecollection have in common.
func (r *Resource) listOptions(req *http.Request, s *request.State) (*metav1.ListOptions, store.Query, error) {
	options := &metav1.ListOptions{}
	if err := readOptions(req, options, metav1.Convert_url_Values_To_v1_ListOptions); err != nil {
		return nil, store.Query{}, err
	}
	options.Watch = s.Verb == "watch"
	errs := internalvalidation.ValidateListOptions(&internalversion.ListOptions{
		Watch: options.Watch, AllowWatchBookmarks: options.AllowWatchBookmarks,
		ResourceVersion: options.ResourceVersion, ResourceVersionMatch: options.ResourceVersionMatch,
		Limit: options.Limit, Continue: options.Continue, SendInitialEvents: options.SendInitialEvents,
	}, true)
	if err := invalidOptions("ListOptions", errs); err != nil {
		return nil, store.Query{}, err
	}
	query := store.Query{
		Namespace: s.Namespace, Name: s.Name,
		ResourceVersion: options.ResourceVersion, Match: options.ResourceVersionMatch,
		Limit: options.Limit, Continue: options.Continue,
	}
	if !r.Namespaced() {
		query.Namespace = ""
	}
	var err error
	if options.LabelSelector != "" {
		if query.Labels, err = labels.Parse(options.LabelSelector); err != nil {
			return nil, query, apierrors.NewBadRequest(err.Error())
		}
	}
	if options.FieldSelector != "" {
		query.Fields, err = r.fieldSelector(options.FieldSelector)
	}
	return options, query, err
}

// fieldSelector parses a selector by the kind's fields; others are refused as BadRequest.
func (r *Resource) fieldSelector(text string) (fields.Selector, error) {
	selector, err := fields.ParseSelector(text)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	for _, requirement := range selector.Requirements() {
		if !r.knowsField(requirement.Field) {
			if len(r.Fields) == 0 && r.Custom == nil {
				return nil, apierrors.NewBadRequest(fmt.Sprintf(
					"%q is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", requirement.Field))
			}
			return nil, apierrors.NewBadRequest("field label not supported: " + requirement.Field)
		}
	}
	if selector.Empty() {
		return nil, nil
	}
	return selector.Transform(r.storedField)
}

// storedField is a field's name in the kind that is stored.
func (r *Resource) storedField(name, value string) (string, string, error) {
	for i := range r.Fields {
		if r.Fields[i].Name == name && r.Fields[i].Stored != "" {
			return r.Fields[i].Stored, value, nil
		}
	}
	return name, value, nil
}

func (r *Resource) knowsField(name string) bool {
	if name == "metadata.name" || name == "metadata.namespace" && (r.Namespaced() || r.Custom == nil && len(r.Fields) == 0) {
		return true // kinds without fields of their own have both, whatever their scope
	}
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return true
		}
	}
	return false
}

// dryRun says whether a write is only to be tried.
func dryRun(option []string) bool { return len(option) > 0 }

// timeout is how long a list or watch may take by its own wish; zero if it has none.
func timeout(options *metav1.ListOptions) time.Duration {
	if options.TimeoutSeconds == nil || *options.TimeoutSeconds <= 0 {
		return 0
	}
	return time.Duration(*options.TimeoutSeconds) * time.Second
}
