// Package oidc knows users by the tokens of OpenID Connect providers, as an AuthenticationConfiguration describes them: whose tokens
// are taken, what must be true of them, and how their claims become a user.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#using-authentication-configuration
package oidc

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Configuration is an apiserver.config.k8s.io/v1 AuthenticationConfiguration.
type Configuration struct {
	metav1.TypeMeta
	JWT       []Authenticator `json:"jwt"`
	Anonymous *Anonymous      `json:"anonymous,omitempty"`
}

// Anonymous says whether requests without credentials are let in: everywhere, or on some paths only.
type Anonymous struct {
	Enabled    bool        `json:"enabled"`
	Conditions []Condition `json:"conditions,omitempty"`
}

// Condition is a path on which anonymous requests are let in.
type Condition struct {
	Path string `json:"path"`
}

// Authenticator is one provider, a JWTAuthenticator.
type Authenticator struct {
	Issuer               Issuer           `json:"issuer"`
	ClaimValidationRules []ClaimRule      `json:"claimValidationRules,omitempty"`
	ClaimMappings        Mappings         `json:"claimMappings"`
	UserValidationRules  []ValidationRule `json:"userValidationRules,omitempty"`
}

// Issuer is who signs tokens, and for whom.
type Issuer struct {
	URL                  string   `json:"url"`
	DiscoveryURL         string   `json:"discoveryURL,omitempty"`
	CertificateAuthority string   `json:"certificateAuthority,omitempty"`
	Audiences            []string `json:"audiences"`
	AudienceMatchPolicy  string   `json:"audienceMatchPolicy,omitempty"`
	EgressSelectorType   string   `json:"egressSelectorType,omitempty"`
}

// ClaimRule is what must be true of a token's claims: a claim's value, or an expression.
type ClaimRule struct {
	Claim         string `json:"claim,omitempty"`
	RequiredValue string `json:"requiredValue,omitempty"`
	Expression    string `json:"expression,omitempty"`
	Message       string `json:"message,omitempty"`
}

// Mappings are how claims become a user.
type Mappings struct {
	Username Mapping        `json:"username"`
	Groups   Mapping        `json:"groups"`
	UID      Mapping        `json:"uid"`
	Extra    []ExtraMapping `json:"extra,omitempty"`
}

// Mapping takes a claim, with a prefix, or an expression. UID has no prefix.
type Mapping struct {
	Claim      string  `json:"claim,omitempty"`
	Prefix     *string `json:"prefix,omitempty"`
	Expression string  `json:"expression,omitempty"`
}

// ExtraMapping is one of a user's further attributes.
type ExtraMapping struct {
	Key             string `json:"key"`
	ValueExpression string `json:"valueExpression"`
}

// ValidationRule is what must be true of the user.
type ValidationRule struct {
	Expression string `json:"expression"`
	Message    string `json:"message,omitempty"`
}

var versions = []string{"apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"}

// Parse reads a configuration in YAML or JSON and checks it; disallowed are issuers that must not be named, since the server itself
// signs in their name. All that is wrong is in the error.
func Parse(data []byte, disallowed []string) (*Configuration, error) {
	asJSON, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, err
	}
	config := &Configuration{}
	strict, err := kjson.UnmarshalStrict(asJSON, config)
	if err != nil {
		return nil, err
	}
	if len(strict) > 0 {
		return nil, strict[0]
	}
	if !slices.Contains(versions, config.APIVersion) || config.Kind != "AuthenticationConfiguration" {
		return nil, fmt.Errorf("it must be of kind AuthenticationConfiguration in %s, not %q in %q", versions[0], config.Kind, config.APIVersion)
	}
	if errs := config.Validate(disallowed); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return config, nil
}
