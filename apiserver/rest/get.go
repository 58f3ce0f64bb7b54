package rest

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
)

// key names the object of a request.
func (r *Resource) key(s *request.State) store.Key {
	if r.Namespaced() {
		return store.Key{Namespace: s.Namespace, Name: s.Name}
	}
	return store.Key{Name: s.Name}
}

// get serves GET on an object or on one of its views.
func (r *Resource) get(rw http.ResponseWriter, req *http.Request, s *request.State) error {
	var options metav1.GetOptions
	if err := readOptions(req, &options, metav1.Convert_url_Values_To_v1_GetOptions); err != nil {
		return err
	}
	item, err := r.Open().Get(req.Context(), r.key(s), options.ResourceVersion)
	if err != nil {
		return err
	}
	return r.sendItem(rw, req, http.StatusOK, item)
}
