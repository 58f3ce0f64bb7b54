// Package encrypt encrypts objects on their way to etcd, by a file of kind EncryptionConfiguration. What it writes and
// reads has upstream's form (k8s:enc:<provider>:…), so that either server can read the other's data:
// https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
package encrypt

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// Configuration is apiserver.config.k8s.io/v1 EncryptionConfiguration.
type Configuration struct {
	metav1.TypeMeta `json:",inline"`
	Resources       []ResourceConfiguration `json:"resources"`
}

// ResourceConfiguration says how to store some resources. The first provider writes, all read.
type ResourceConfiguration struct {
	// Resources are plural names, with ".group" outside of the core group; "*.group" is all of a group, "*." all of
	// the core group, "*.*" everything.
	Resources []string                `json:"resources"`
	Providers []ProviderConfiguration `json:"providers"`
}

// ProviderConfiguration has one field set.
type ProviderConfiguration struct {
	AESGCM    *KeysConfiguration `json:"aesgcm,omitempty"`
	AESCBC    *KeysConfiguration `json:"aescbc,omitempty"`
	Secretbox *KeysConfiguration `json:"secretbox,omitempty"`
	Identity  *struct{}          `json:"identity,omitempty"`
	KMS       *KMSConfiguration  `json:"kms,omitempty"`
}

// KeysConfiguration lists keys: the first writes, all read.
type KeysConfiguration struct {
	Keys []Key `json:"keys"`
}

// Key is a name, which is stored with the data, and base64 of the key itself.
type Key struct {
	Name   string `json:"name"`
	Secret string `json:"secret"`
}

// KMSConfiguration reaches a key management plug-in, version v2, at a unix socket.
type KMSConfiguration struct {
	APIVersion string           `json:"apiVersion,omitempty"`
	Name       string           `json:"name"`
	Endpoint   string           `json:"endpoint"`
	Timeout    *metav1.Duration `json:"timeout,omitempty"`
	// CacheSize belongs to version v1, which is not served.
	CacheSize *int32 `json:"cachesize,omitempty"`
}

const (
	apiVersion        = "apiserver.config.k8s.io/v1"
	kind              = "EncryptionConfiguration"
	defaultKMSTimeout = 3 * time.Second
)

// Parse checks everything but whether plug-ins answer. Unknown fields are errors: a misspelt one would leave data unencrypted.
func Parse(data []byte) (*Configuration, error) {
	config := &Configuration{}
	if err := yaml.UnmarshalStrict(data, config); err != nil {
		return nil, err
	}
	if config.APIVersion != apiVersion || config.Kind != kind {
		return nil, fmt.Errorf("is %s %s, want %s %s", config.APIVersion, config.Kind, apiVersion, kind)
	}
	return config, config.validate().ToAggregate()
}

func (c *Configuration) validate() (errs field.ErrorList) {
	root := field.NewPath("resources")
	if len(c.Resources) == 0 {
		return field.ErrorList{field.Required(root, "at least one resource must be configured")}
	}
	plugins := map[string]bool{}
	var seen []string
	for i, r := range c.Resources {
		at := root.Index(i)
		errs = append(errs, validateResources(at.Child("resources"), r.Resources, &seen)...)
		if len(r.Providers) == 0 {
			errs = append(errs, field.Required(at.Child("providers"), "at least one provider must be configured"))
		}
		for j, p := range r.Providers {
			errs = append(errs, p.validate(at.Child("providers").Index(j), plugins)...)
		}
	}
	return errs
}

// validateResources: nothing may stand behind what covers it already, since it would never be looked at.
func validateResources(at *field.Path, resources []string, seen *[]string) (errs field.ErrorList) {
	if len(resources) == 0 {
		errs = append(errs, field.Required(at, "at least one resource must be named"))
	}
	for i, resource := range resources {
		switch covering := slices.IndexFunc(*seen, func(s string) bool { return covers(s, resource) }); {
		case resource == "" || resource == "*" || strings.Contains(resource, "/") || strings.ToLower(resource) != resource:
			errs = append(errs, field.Invalid(at.Index(i), resource, `must be a lower-case plural, "*.group", "*." or "*.*"`))
		case covering >= 0:
			errs = append(errs, field.Invalid(at.Index(i), resource, "is covered by "+(*seen)[covering]+" before"))
		}
		*seen = append(*seen, resource)
	}
	return errs
}

// covers says whether one name, perhaps with a wildcard, stands for all that another does.
func covers(pattern, resource string) bool {
	if pattern == resource || pattern == "*.*" {
		return true
	}
	group, ok := strings.CutPrefix(pattern, "*.")
	if !ok {
		return false
	}
	_, of, _ := strings.Cut(resource, ".")
	return group == of
}

func (p ProviderConfiguration) validate(at *field.Path, plugins map[string]bool) (errs field.ErrorList) {
	set := 0
	for _, keys := range []struct {
		name  string
		of    *KeysConfiguration
		sizes []int
	}{{"aesgcm", p.AESGCM, aesSizes}, {"aescbc", p.AESCBC, aesSizes}, {"secretbox", p.Secretbox, []int{secretboxSize}}} {
		if keys.of != nil {
			set++
			errs = append(errs, keys.of.validate(at.Child(keys.name, "keys"), keys.sizes)...)
		}
	}
	if p.Identity != nil {
		set++
	}
	if p.KMS != nil {
		set++
		errs = append(errs, p.KMS.validate(at.Child("kms"), plugins)...)
	}
	if set != 1 {
		errs = append(errs, field.Invalid(at, set, "exactly one provider must be given"))
	}
	return errs
}

func (k KeysConfiguration) validate(at *field.Path, sizes []int) (errs field.ErrorList) {
	if len(k.Keys) == 0 {
		return field.ErrorList{field.Required(at, "at least one key must be given")}
	}
	names := map[string]bool{}
	for i, key := range k.Keys {
		switch {
		case key.Name == "" || strings.Contains(key.Name, ":"):
			errs = append(errs, field.Invalid(at.Index(i).Child("name"), key.Name, "must not be empty nor have a colon"))
		case names[key.Name]:
			errs = append(errs, field.Duplicate(at.Index(i).Child("name"), key.Name))
		}
		names[key.Name] = true
		secret, err := base64.StdEncoding.DecodeString(key.Secret)
		if err != nil || !slices.Contains(sizes, len(secret)) {
			// The key itself never is in a message.
			errs = append(errs, field.Invalid(at.Index(i).Child("secret"), "REDACTED", fmt.Sprintf("must be base64 of a key of %v bytes", sizes)))
		}
	}
	return errs
}

func (k KMSConfiguration) validate(at *field.Path, plugins map[string]bool) (errs field.ErrorList) {
	if k.APIVersion != "v2" {
		errs = append(errs, field.NotSupported(at.Child("apiVersion"), k.APIVersion, []string{"v2"}))
	}
	if k.Name == "" || strings.Contains(k.Name, ":") {
		errs = append(errs, field.Invalid(at.Child("name"), k.Name, "must not be empty nor have a colon"))
	}
	if plugins[k.Name] {
		errs = append(errs, field.Duplicate(at.Child("name"), k.Name))
	}
	plugins[k.Name] = true
	if !strings.HasPrefix(k.Endpoint, "unix:") {
		errs = append(errs, field.Invalid(at.Child("endpoint"), k.Endpoint, "must be a unix socket: unix:///…"))
	}
	if k.Timeout != nil && k.Timeout.Duration <= 0 {
		errs = append(errs, field.Invalid(at.Child("timeout"), k.Timeout.Duration.String(), "must be positive"))
	}
	if k.CacheSize != nil {
		errs = append(errs, field.Invalid(at.Child("cachesize"), *k.CacheSize, "is not supported in v2"))
	}
	return errs
}
