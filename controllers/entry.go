package controllers

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/reconcile"
)

// Entry is one line of the table of controllers.
type Entry struct {
	// Name is upstream's name, as --controllers takes it; Alias its older name, which --controllers takes too.
	Name, Alias string
	// Account is the service account in kube-system under which the controller works with
	// --use-service-account-credentials. RBAC's default roles are bound to it.
	Account string
	// Flag is the flag that sets the number of workers, empty if there is none; Workers is its default.
	Flag    string
	Workers int
	// Off says that the controller runs only if --controllers names it.
	Off bool
	// New builds the controller. It is called anew each time that the process becomes leader. A result without
	// any controller and error means that the configuration leaves it nothing to do.
	New func(*Env) ([]reconcile.Controller, error)
}

// Env is what a constructor is given.
type Env struct {
	// Set reads from the shared informers and writes under the controller's own identity.
	Set *client.Set
	// Config is the whole configuration; constructors take from it what they need.
	Config *Config
	// Workers is the number of keys to reconcile at the same time.
	Workers int
	// Events returns a recorder of events whose source is the given component name.
	Events func(component string) record.EventRecorder
}

// one adapts a constructor of a single controller.
func one(c reconcile.Controller, err error) ([]reconcile.Controller, error) {
	return []reconcile.Controller{c}, err
}

// enabled reports whether --controllers selects the entry: by name or alias, a "-" before it switches it off, and
// "*" stands for all that are on by default. What names a controller itself counts more than "*".
func (e *Entry) enabled(selection []string) bool {
	star := len(selection) == 0
	for _, item := range selection {
		switch item {
		case e.Name, e.Alias:
			return true
		case "-" + e.Name, "-" + e.Alias:
			return false
		case "*":
			star = true
		}
	}
	return star && !e.Off
}

// checkSelection returns an error for a name in --controllers that no controller has, and for one that is not here.
func checkSelection(selection []string) error {
	for _, item := range selection {
		name, off := strings.CutPrefix(item, "-")
		here := item == "*" || slices.ContainsFunc(all, func(e Entry) bool { return name == e.Name || (name != "" && name == e.Alias) })
		switch {
		case here, among(cloud, name), off && among(missing, name):
		case among(missing, name):
			return fmt.Errorf("--controllers: %s is not supported", name)
		default:
			return fmt.Errorf("--controllers: %q is not a controller; there are %s", item, strings.Join(Names(), ", "))
		}
	}
	return nil
}

// Names returns the names of all controllers, sorted.
func Names() []string {
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names
}
