package serviceaccount

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Discovery serves what others need to verify tokens: the OpenID configuration and the key set.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
type Discovery struct {
	configuration, keys []byte
}

// Paths of the two documents.
const (
	ConfigurationPath = "/.well-known/openid-configuration"
	KeysPath          = "/openid/v1/jwks"
)

// NewDiscovery prepares the documents. keysURL is where others find the key set; below the issuer if empty.
func NewDiscovery(issuer, keysURL string, keys []jose.JSONWebKey) (*Discovery, error) {
	if keysURL == "" {
		keysURL = strings.TrimSuffix(issuer, "/") + KeysPath
	}
	algorithms := []string{}
	for _, key := range keys {
		algorithms = append(algorithms, key.Algorithm)
	}
	slices.Sort(algorithms)
	algorithms = slices.Compact(algorithms)
	configuration, err := json.Marshal(map[string]any{
		"issuer": issuer, "jwks_uri": keysURL, "response_types_supported": []string{"id_token"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": algorithms,
	})
	if err != nil {
		return nil, err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		return nil, err
	}
	return &Discovery{configuration, set}, nil
}

// ServeConfiguration serves the OpenID configuration.
func (d *Discovery) ServeConfiguration(w http.ResponseWriter, _ *http.Request) {
	serve(w, "application/json", d.configuration)
}

// ServeKeys serves the key set.
func (d *Discovery) ServeKeys(w http.ResponseWriter, _ *http.Request) {
	serve(w, "application/jwk-set+json", d.keys)
}

func serve(w http.ResponseWriter, mediaType string, document []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	if _, err := w.Write(document); err != nil {
		return // the client has gone away
	}
}
