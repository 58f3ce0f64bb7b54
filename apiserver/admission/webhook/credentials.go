package webhook

import (
	"fmt"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// CredentialsFrom reads a kubeconfig whose users are named after the webhooks that they are shown to: "<host>:<port>" or "<host>" exactly,
// "*.<rest of the host>", or "*" for all. Services are "<name>.<namespace>.svc".
func CredentialsFrom(kubeconfig string) (Credentials, error) {
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kubeconfig, err)
	}
	for name, user := range config.AuthInfos {
		if _, err := shownAs(user); err != nil {
			return nil, fmt.Errorf("%s: user %q: %w", kubeconfig, name, err)
		}
	}
	return func(host string, port int) (*rest.Config, error) {
		for _, name := range namesOf(host, port) {
			if user := config.AuthInfos[name]; user != nil {
				return shownAs(user)
			}
		}
		return &rest.Config{}, nil
	}, nil
}

// namesOf are the users that a host may have, the most special first.
func namesOf(host string, port int) []string {
	names := []string{fmt.Sprintf("%s:%d", host, port)}
	if port == 443 {
		names = append(names, host)
	}
	for rest := host; ; {
		_, after, more := strings.Cut(rest, ".")
		if !more {
			return append(names, "*")
		}
		rest = after
		names = append(names, "*."+rest)
	}
}

// shownAs is a client's configuration with a user's credentials alone.
func shownAs(user *api.AuthInfo) (*rest.Config, error) {
	only := api.NewConfig()
	only.AuthInfos["user"] = user
	only.Clusters["cluster"] = &api.Cluster{Server: "https://unused"}
	only.Contexts["context"] = &api.Context{Cluster: "cluster", AuthInfo: "user"}
	only.CurrentContext = "context"
	config, err := clientcmd.NewDefaultClientConfig(*only, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err == nil {
		config.Host = ""
	}
	return config, err
}
