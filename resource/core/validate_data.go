package core

import (
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

// ConfigMaps and Secrets: bags of data whose keys are file names.

func keys[V any](data map[string]V, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(data)) {
		errs = append(errs, invalidEach(path.Key(key), key, validation.IsConfigMapKey(key))...)
	}
	return errs
}

func validateConfigMap(_ *resource.Request, config *corev1.ConfigMap) field.ErrorList {
	data, binary := field.NewPath("data"), field.NewPath("binaryData")
	errs := append(keys(config.Data, data), keys(config.BinaryData, binary)...)
	size := 0
	for key, value := range config.Data {
		if _, both := config.BinaryData[key]; both {
			errs = append(errs, field.Invalid(data.Key(key), key, "duplicate of key present in binaryData"))
		}
		size += len(value)
	}
	for _, value := range config.BinaryData {
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
	return errs
}

const sealed = "field is immutable when `immutable` is set"

// stillSealed: what was declared immutable stays so.
func stillSealed(now, old *bool) field.ErrorList {
	if old != nil && *old && (now == nil || !*now) {
		return field.ErrorList{field.Forbidden(field.NewPath("immutable"), sealed)}
	}
	return nil
}

func validateConfigMapUpdate(r *resource.Request, config, old *corev1.ConfigMap) field.ErrorList {
	errs := stillSealed(config.Immutable, old.Immutable)
	if old.Immutable != nil && *old.Immutable {
		if !apiequality.Semantic.DeepEqual(config.Data, old.Data) {
			errs = append(errs, field.Forbidden(field.NewPath("data"), sealed))
		}
		if !apiequality.Semantic.DeepEqual(config.BinaryData, old.BinaryData) {
			errs = append(errs, field.Forbidden(field.NewPath("binaryData"), sealed))
		}
	}
	return append(errs, validateConfigMap(r, config)...)
}

func validateSecret(_ *resource.Request, secret *corev1.Secret) field.ErrorList {
	path := field.NewPath("data")
	errs := keys(secret.Data, path)
	size := 0
	for _, value := range secret.Data {
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(path, "", corev1.MaxSecretSize))
	}
	return append(errs, secretType(secret, path)...)
}

// secretType checks that a secret holds what its type promises.
func secretType(secret *corev1.Secret, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	missing := func(name string) bool {
		_, ok := secret.Data[name]
		return !ok
	}
	require := func(names ...string) {
		for _, name := range names {
			if missing(name) {
				errs = append(errs, field.Required(path.Key(name), ""))
			}
		}
	}
	switch secret.Type {
	case corev1.SecretTypeServiceAccountToken:
		if secret.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(metaPath.Child("annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeDockercfg:
		errs = append(errs, jsonKey(secret, corev1.DockerConfigKey, path)...)
	case corev1.SecretTypeDockerConfigJson:
		errs = append(errs, jsonKey(secret, corev1.DockerConfigJsonKey, path)...)
	case corev1.SecretTypeBasicAuth:
		if missing(corev1.BasicAuthUsernameKey) && missing(corev1.BasicAuthPasswordKey) {
			require(corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeSSHAuth:
		if len(secret.Data[corev1.SSHAuthPrivateKey]) == 0 {
			errs = append(errs, field.Required(path.Key(corev1.SSHAuthPrivateKey), ""))
		}
	case corev1.SecretTypeTLS:
		require(corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	}
	return errs
}

func jsonKey(secret *corev1.Secret, key string, path *field.Path) field.ErrorList {
	data, ok := secret.Data[key]
	if !ok {
		return field.ErrorList{field.Required(path.Key(key), "")}
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return field.ErrorList{field.Invalid(path.Key(key), "<secret contents redacted>", err.Error())}
	}
	return nil
}

func validateSecretUpdate(r *resource.Request, secret, old *corev1.Secret) field.ErrorList {
	errs := Immutable(secret.Type, old.Type, field.NewPath("type"))
	errs = append(errs, stillSealed(secret.Immutable, old.Immutable)...)
	if old.Immutable != nil && *old.Immutable && !apiequality.Semantic.DeepEqual(secret.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), sealed))
	}
	return append(errs, validateSecret(r, secret)...)
}

// warnSecret warns about secrets that the kubelet could use only in part.
func warnSecret(_ *resource.Request, secret, _ *corev1.Secret) []string {
	if secret.Type != corev1.SecretTypeTLS {
		return nil
	}
	if len(secret.Data[corev1.TLSCertKey]) == 0 || len(secret.Data[corev1.TLSPrivateKeyKey]) == 0 {
		return nil
	}
	return tlsWarnings(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
}
