package rest

import (
	"strings"
	"time"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/journal"
)

// note tells the journal about a write that is in storage; saw is the version that it replaced.
func (w *write) note(item *store.Item, saw string) {
	if w.r.Env.Journal == nil || unremarkable[w.r.Kind.Resource.Resource] {
		return
	}
	step := w.Verb
	if w.subresource != "" {
		step += " " + w.subresource
	}
	w.r.Env.Journal.Note(journal.Record{
		Component: "kube-apiserver", Step: step, Kind: w.r.GroupVersionKind.Kind,
		Namespace: item.Key.Namespace, Name: item.Key.Name, UID: item.Object.GetUID(),
		Saw: saw, Made: item.Object.GetResourceVersion(), Duration: time.Since(w.start),
		Note: w.remark(), Owner: ownerOf(item),
	})
}

// unremarkable are heartbeats and remarks themselves: they would push everything else out of the ring.
var unremarkable = map[string]bool{"leases": true, "events": true}

// remark says who wrote, which rule let them and what admission changed.
func (w *write) remark() string {
	size := len("user , ") + len(w.User.Name) + len(w.state.Reason)
	for _, c := range w.changes {
		size += len(c.Plugin) + len(c.What) + 4
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString("user ")
	b.WriteString(w.User.Name)
	if w.state.Reason != "" {
		b.WriteString(", ")
		b.WriteString(w.state.Reason)
	}
	for _, c := range w.changes {
		b.WriteString("; ")
		b.WriteString(c.Plugin)
		b.WriteString(": ")
		b.WriteString(c.What)
	}
	return b.String()
}

// ownerOf names the controller of an object: "ReplicaSet/default/web-5d".
func ownerOf(item *store.Item) string {
	for _, owner := range item.Object.GetOwnerReferences() {
		if owner.Controller != nil && *owner.Controller {
			return owner.Kind + "/" + item.Key.Namespace + "/" + owner.Name
		}
	}
	return ""
}
