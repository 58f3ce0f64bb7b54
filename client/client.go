// Package client is how a component reaches the API: one Set of typed, dynamic and metadata clients
// with the informers that share one copy of every object. A Set is either remote (over TLS, from a
// kubeconfig) or local (the API server in the same process, whose own immutable objects the informers hold).
package client

import (
	"fmt"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Set is everything through which a component speaks to the API under its own identity.
// Objects from Informers are shared and must never be changed: copy first.
type Set struct {
	kubernetes.Interface
	// Dynamic and Metadata serve kinds that are known only at run time.
	Dynamic  dynamic.Interface
	Metadata metadata.Interface
	// Informers are shared by all that use this Set; in one process, by all components.
	Informers informers.SharedInformerFactory
	// MetadataInformers deliver PartialObjectMetadata of any resource.
	MetadataInformers metadatainformer.SharedInformerFactory
	// Config is what the clients were made from; for clients of further kinds.
	Config *rest.Config

	direct Poster // nil if the API server is not in this process
}

// noResync: informers never replay; watches are reliable, and a replay costs CPU for nothing.
const noResync time.Duration = 0

// New makes a Set from a rest.Config. The config's client-side rate limit is off unless it sets one:
// the server guards itself by priority and fairness.
func New(config *rest.Config) (*Set, error) {
	typed := withWarnings(rest.CopyConfig(config))
	if typed.QPS == 0 {
		typed.QPS = -1
	}
	plain := rest.CopyConfig(typed)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	httpClient, err := rest.HTTPClientFor(typed)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	clientset, err := kubernetes.NewForConfigAndClient(typed, httpClient)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfigAndClient(plain, httpClient)
	if err != nil {
		return nil, fmt.Errorf("dynamic client: %w", err)
	}
	metadataClient, err := metadata.NewForConfigAndClient(metadata.ConfigFor(plain), httpClient)
	if err != nil {
		return nil, fmt.Errorf("metadata client: %w", err)
	}
	direct, _ := config.Transport.(Poster)
	return &Set{
		direct:            direct,
		Interface:         clientset,
		Dynamic:           dynamicClient,
		Metadata:          metadataClient,
		Informers:         informers.NewSharedInformerFactory(clientset, noResync),
		MetadataInformers: metadatainformer.NewSharedInformerFactory(metadataClient, noResync),
		Config:            plain,
	}, nil
}

// FromKubeconfig makes a Set from a kubeconfig file; master, when not empty, overrides its server.
// Without either, the in-cluster service account is used.
func FromKubeconfig(path, master, userAgent string) (*Set, error) {
	config, err := clientcmd.BuildConfigFromFlags(master, path)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q: %w", path, err)
	}
	config.UserAgent = userAgent
	return New(config)
}

// As returns a Set for another identity that shares this Set's informers: in one process each component
// writes under its own name but all read the same cached objects.
func (s *Set) As(config *rest.Config) (*Set, error) {
	other, err := New(config)
	if err != nil {
		return nil, err
	}
	other.Informers, other.MetadataInformers = s.Informers, s.MetadataInformers
	return other, nil
}
