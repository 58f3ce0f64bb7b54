package image

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"sort"
	"strings"

	"github.com/distribution/reference"
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// login is one entry of a Docker configuration.
type login struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// entry is a login and the registry, with or without a path, that it is for.
type entry struct {
	location string
	auth     *runtimeapi.AuthConfig
}

// matching returns the credentials in secrets for an image, most specific first:
// those whose location is the longest. A host may have wildcards
// ("*.example.com"), which match single labels.
func matching(image string, secrets []*v1.Secret) ([]*runtimeapi.AuthConfig, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil, err
	}
	var found []entry
	for _, s := range secrets {
		logins, err := loginsOf(s)
		if err != nil {
			return nil, err
		}
		for location, l := range logins {
			location = normalizeLocation(location)
			if !covers(location, reference.Domain(named), named.Name()) {
				continue
			}
			auth, err := authOf(location, l)
			if err != nil {
				return nil, fmt.Errorf("pull secret %s/%s: %w", s.Namespace, s.Name, err)
			}
			found = append(found, entry{location, auth})
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].location > found[j].location })
	out := make([]*runtimeapi.AuthConfig, len(found))
	for i := range found {
		out[i] = found[i].auth
	}
	return out, nil
}

// loginsOf reads a pull secret of either type; others have none.
func loginsOf(s *v1.Secret) (map[string]login, error) {
	if raw, ok := s.Data[v1.DockerConfigJsonKey]; ok && s.Type == v1.SecretTypeDockerConfigJson {
		var config struct {
			Auths map[string]login `json:"auths"`
		}
		if err := json.Unmarshal(raw, &config); err != nil {
			// The contents stay out of the message: they are secret.
			return nil, fmt.Errorf("pull secret %s/%s is not valid JSON", s.Namespace, s.Name)
		}
		return config.Auths, nil
	}
	if raw, ok := s.Data[v1.DockerConfigKey]; ok && s.Type == v1.SecretTypeDockercfg {
		var logins map[string]login
		if err := json.Unmarshal(raw, &logins); err != nil {
			return nil, fmt.Errorf("pull secret %s/%s is not valid JSON", s.Namespace, s.Name)
		}
		return logins, nil
	}
	return nil, nil
}

// normalizeLocation strips the scheme and the API version of registries' old
// addresses: "https://index.docker.io/v1/" is docker.io.
func normalizeLocation(location string) string {
	if u, err := url.Parse(location); err == nil && u.Host != "" {
		location = u.Host + u.Path
	}
	location = strings.TrimSuffix(location, "/")
	for _, version := range []string{"/v1", "/v2"} {
		location = strings.TrimSuffix(location, version)
	}
	switch location {
	case "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return location
}

// covers says whether a location is that of the image name of the domain.
func covers(location, domain, name string) bool {
	host, prefix, _ := strings.Cut(location, "/")
	hostLabels, labels := strings.Split(host, "."), strings.Split(domain, ".")
	if len(hostLabels) != len(labels) {
		return false
	}
	for i := range labels {
		if ok, err := path.Match(hostLabels[i], labels[i]); err != nil || !ok {
			return false
		}
	}
	repository := strings.TrimPrefix(name, domain+"/")
	return prefix == "" || repository == prefix || strings.HasPrefix(repository, strings.TrimSuffix(prefix, "/")+"/")
}

func authOf(location string, l login) (*runtimeapi.AuthConfig, error) {
	if l.Auth != "" && l.Username == "" {
		raw, err := base64.StdEncoding.DecodeString(l.Auth)
		if err != nil {
			if raw, err = base64.RawStdEncoding.DecodeString(l.Auth); err != nil {
				return nil, fmt.Errorf("the auth field for %q is not base64", location)
			}
		}
		user, password, ok := strings.Cut(string(raw), ":")
		if !ok {
			return nil, fmt.Errorf("the auth field for %q is not user:password", location)
		}
		l.Username, l.Password = user, strings.TrimRight(password, "\x00")
	}
	return &runtimeapi.AuthConfig{
		Username: l.Username, Password: l.Password, IdentityToken: l.IdentityToken, RegistryToken: l.RegistryToken,
	}, nil
}
