package apiserver

import (
	"encoding/json"
	"net/http"

	"k8s.io/klog/v2"

	"github.com/septet-io/septet/journal"
)

// serveJournal writes the records of the ring as JSON, oldest first; uid, kind, namespace and name select.
func (s *Server) serveJournal(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wanted := func(key, value string) bool { return !query.Has(key) || query.Get(key) == value }
	records := s.Journal.Select(func(record *journal.Record) bool {
		return wanted("uid", string(record.UID)) && wanted("kind", record.Kind) &&
			wanted("namespace", record.Namespace) && wanted("name", record.Name)
	})
	w.Header().Set("Content-Type", "application/json")
	if records == nil {
		records = []journal.Record{}
	}
	if err := json.NewEncoder(w).Encode(records); err != nil {
		klog.FromContext(r.Context()).V(4).Info("Client went away before the end of the journal", "err", err)
	}
}
