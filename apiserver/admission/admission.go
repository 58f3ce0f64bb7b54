// Package admission is what stands between a valid request and storage: plug-ins that may change an object and then may
// refuse it. The chain's order is upstream's; each plug-in is a value here or in a folder below.
package admission

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// Operation is what a request does to an object.
type Operation string

// The four operations.
const (
	Create  Operation = "CREATE"
	Update  Operation = "UPDATE"
	Delete  Operation = "DELETE"
	Connect Operation = "CONNECT"
)

// Plugin is one step of admission. A nil function takes no part. Errors should be *apierrors.StatusError
// (mostly Forbidden); anything else is sent as an internal error.
type Plugin struct {
	// Name is upstream's, for example "NamespaceLifecycle".
	Name string
	// Handles says for which operations the plug-in is asked; all if empty.
	Handles []Operation
	// Admit may change Attributes.Object. It runs before the Definition's prepare and validate functions.
	Admit func(ctx context.Context, a *Attributes) error
	// Validate may refuse only. It runs after validation, and again whenever a lost race changes the object.
	Validate func(ctx context.Context, a *Attributes) error
}

// Attributes are what a Plugin may know about a request. Only Object may be changed, and only by Admit.
type Attributes struct {
	Operation Operation
	// Kind is that of Object; Resource that of the URL. They differ for subresources with a body of their own.
	Kind        schema.GroupVersionKind
	Resource    schema.GroupVersionResource
	Subresource string
	// Namespace is empty for cluster-scoped objects. Name is empty on create with generateName at times, and for a collection.
	Namespace, Name string
	// Object is the new object, nil on DELETE; on CONNECT it is the options (PodExecOptions, …).
	Object runtime.Object
	// OldObject is the stored object on UPDATE and DELETE, else nil. Never change it.
	OldObject runtime.Object
	// Options are *metav1.CreateOptions, UpdateOptions, PatchOptions or DeleteOptions; nil on CONNECT.
	Options runtime.Object
	DryRun  bool
	User    resource.User

	// Scope of the resource: plug-ins that look at namespaces skip cluster-scoped ones.
	Scope resource.Scope

	// Annotate adds to the audit event, Warned to the Warning headers. May be nil.
	// AnnotateRequest is Annotate for what only those may read who may see the objects of requests.
	Annotate, AnnotateRequest func(key, value string)
	Warned                    func(text string)

	// Round is 0, and 1 when the chain runs for a second time because of AskAgain.
	Round int

	plugin  string
	changes []Change
	again   bool
	kept    map[string]any
}

// AskAgain says that the object has changed in a way that others may want to see who were asked before: when all plug-ins have run
// they run once more, with Round 1. Only Admit may call it.
func (a *Attributes) AskAgain() { a.again = true }

// Keep lets the running plug-in find a value in the second round.
func (a *Attributes) Keep(value any) {
	if a.kept == nil {
		a.kept = map[string]any{}
	}
	a.kept[a.plugin] = value
}

// Kept is what the running plug-in kept in the first round, nil if nothing.
func (a *Attributes) Kept() any { return a.kept[a.plugin] }

// Change is what a plug-in says that it changed, for the journal.
type Change struct{ Plugin, What string }

// AddAnnotation adds to the audit event; keys are "<plugin domain>/<name>".
func (a *Attributes) AddAnnotation(key, value string) {
	if a.Annotate != nil {
		a.Annotate(key, value)
	}
}

// AddRequestAnnotation adds to the audit event, if that shows the objects of requests.
func (a *Attributes) AddRequestAnnotation(key, value string) {
	if a.AnnotateRequest != nil {
		a.AnnotateRequest(key, value)
	}
}

// AddWarning adds a Warning header to the answer.
func (a *Attributes) AddWarning(text string) {
	if a.Warned != nil {
		a.Warned(text)
	}
}

// ObjectName is the name that errors show: that of the object, or what it is to be generated from.
func (a *Attributes) ObjectName() string {
	object, ok := a.Object.(metav1.Object)
	switch {
	case a.Name != "" || !ok:
		return a.Name
	case object.GetName() != "":
		return object.GetName()
	}
	return object.GetGenerateName()
}

// Changed notes in a few words what the running plug-in changed: "priority 0". Never secret contents.
func (a *Attributes) Changed(format string, args ...any) {
	a.changes = append(a.changes, Change{Plugin: a.plugin, What: fmt.Sprintf(format, args...)})
}

// Changes returns what all plug-ins said that they changed.
func (a *Attributes) Changes() []Change { return a.changes }

// Plugin names the plug-in that is running.
func (a *Attributes) Plugin() string { return a.plugin }
