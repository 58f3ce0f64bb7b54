// Package crd serves custom resources. It follows the CustomResourceDefinitions, decides which names they get and whether they are
// established, and makes each version that is served a rest.Resource, with the same verbs as every other kind. Schemas are compiled
// when they are first needed: a definition that nobody uses costs little more than its own object.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
package crd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// Config is what custom resources need of the server. All but Resolve is needed.
type Config struct {
	// Resources is where custom resources are added and removed.
	Resources *rest.Registry
	Env       *rest.Env
	// Client writes the status of definitions.
	Client dynamic.Interface
	// Open makes the store of a kind whose objects lie in etcd as codec says. It is called once for each kind, and Close when
	// the kind is served no more: watches end at once, requests under way get some time.
	Open  func(kind *resource.Kind, codec store.Codec) store.Store
	Close func(kind *resource.Kind)
	// Resolve returns the address ("10.0.0.7:443") behind which a Service's port is reached; nil: its name in the cluster's DNS.
	Resolve func(ctx context.Context, namespace, name string, port int32) (string, error)
}

// Resource is that of the definitions themselves.
var Resource = schema.GroupVersionResource{Group: apiextensionsv1.GroupName, Version: "v1", Resource: "customresourcedefinitions"}

// Definitions are all CustomResourceDefinitions and what is served of them. Make it with New.
type Definitions struct {
	config   Config
	compiled *shelf
	synced   atomic.Bool

	// mu guards what follows; Run's goroutine alone changes it.
	mu     sync.Mutex
	served map[string]*serving // by name of the definition

	finalizers finalizers
}

// New prepares to serve custom resources, and makes the definitions' own Resource check the rules in CEL, and mark what is
// deleted. Nothing is served before Run.
func New(config Config) (*Definitions, error) {
	own := config.Resources.Get(Resource)
	if own == nil {
		return nil, errors.New("crd: CustomResourceDefinitions are not served")
	}
	guard(own)
	config.Resources.Change([]*rest.Resource{own}, nil) // it has another Kind now
	return &Definitions{config: config, compiled: newShelf(maxCompiled), served: map[string]*serving{}}, nil
}

// Synced says whether all definitions that were there at the start are served, as far as their conditions allow.
func (d *Definitions) Synced() bool { return d.synced.Load() }

// maxCompiled is how many versions of definitions keep their compiled rules; those that were not used for longest are compiled again.
const maxCompiled = 512
