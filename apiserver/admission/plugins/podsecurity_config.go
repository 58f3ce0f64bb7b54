package plugins

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"

	"github.com/septet-io/septet/apiserver/admission"
)

// securityConfig is pod-security.admission.config.k8s.io/v1 PodSecurityConfiguration: what holds where a namespace says nothing,
// and for whom nothing holds.
type securityConfig struct {
	metav1.TypeMeta `json:",inline"`
	Defaults        struct {
		Enforce        string `json:"enforce"`
		EnforceVersion string `json:"enforce-version"`
		Audit          string `json:"audit"`
		AuditVersion   string `json:"audit-version"`
		Warn           string `json:"warn"`
		WarnVersion    string `json:"warn-version"`
	} `json:"defaults"`
	Exemptions struct {
		Usernames      []string `json:"usernames"`
		Namespaces     []string `json:"namespaces"`
		RuntimeClasses []string `json:"runtimeClasses"`
	} `json:"exemptions"`
}

// configure reads the configuration, if there is one.
func (s *security) configure(env *Env) error {
	s.defaults = unlabelled
	const group = "pod-security.admission.config.k8s.io/"
	if _, err := env.Config.Read("PodSecurity", &s.config, "PodSecurityConfiguration", group+"v1", group+"v1beta1", group+"v1alpha1"); err != nil {
		return err
	}
	d := &s.config.Defaults
	for _, part := range []struct {
		field, level, version string
		into                  *api.LevelVersion
	}{
		{"enforce", d.Enforce, d.EnforceVersion, &s.defaults.Enforce},
		{"audit", d.Audit, d.AuditVersion, &s.defaults.Audit},
		{"warn", d.Warn, d.WarnVersion, &s.defaults.Warn},
	} {
		if err := setLevel(part.into, part.level, part.version); err != nil {
			return fmt.Errorf("defaults.%s: %w", part.field, err)
		}
	}
	return nil
}

func setLevel(into *api.LevelVersion, level, version string) error {
	var err error
	if level != "" {
		if into.Level, err = api.ParseLevel(level); err != nil {
			return err
		}
	}
	if version != "" {
		into.Version, err = api.ParseVersion(version)
	}
	return err
}

// exempt says for which reason nothing holds for a request: "user", "namespace" or "runtimeClass"; "" if it is not exempt.
func (s *security) exempt(a *admission.Attributes, spec *corev1.PodSpec) string {
	e := &s.config.Exemptions
	switch {
	case slices.Contains(e.Namespaces, a.Namespace):
		return "namespace"
	case slices.Contains(e.Usernames, a.User.Name):
		return "user"
	case spec.RuntimeClassName != nil && slices.Contains(e.RuntimeClasses, *spec.RuntimeClassName):
		return "runtimeClass"
	}
	return ""
}
