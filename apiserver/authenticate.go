package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/apiserver/authn/oidc"
	"github.com/septet-io/septet/apiserver/authn/serviceaccount"
	"github.com/septet-io/septet/apiserver/request"
)

// authenticator asks in upstream's order: proxies' headers, certificates, tokens; who has no credentials is anonymous.
func (o *opening) authenticator() (request.Authenticator, error) {
	providers, anonymous, err := o.providers()
	if err != nil {
		return nil, err
	}
	var chain authn.Chain
	if o.Header != nil {
		chain = append(chain, o.Header)
	}
	if o.ClientCAFile != "" {
		chain = append(chain, &authn.X509{Roots: o.clientCA()})
	}
	if o.bearer, err = o.tokens(providers); err != nil {
		return nil, err
	}
	chain = append(chain, o.bearer)
	if anonymous == nil {
		return chain, nil
	}
	return authn.OrNobody{First: chain, Then: *anonymous}, nil
}

// tokens are the kinds of bearer tokens in upstream's order.
func (o *opening) tokens(providers *oidc.Set) (*authn.Bearer, error) {
	bearer := &authn.Bearer{Audiences: o.Audiences}
	if o.TokenFile != "" {
		static, err := authn.LoadStaticTokens(o.TokenFile)
		if err != nil {
			return nil, err
		}
		bearer.Kinds = append(bearer.Kinds, static)
	}
	if len(o.keys) > 0 {
		bearer.Kinds = append(bearer.Kinds, &serviceaccount.Verifier{
			Issuers: o.Issuers, Audiences: o.Audiences, Keys: o.keys, Objects: o, Lookup: !o.NoLookup, MarkUsed: o.markUsed,
		})
	}
	if o.BootstrapTokens {
		bearer.Kinds = append(bearer.Kinds, &authn.BootstrapTokens{Secret: func(ctx context.Context, name string) (*corev1.Secret, error) {
			return o.Secret(ctx, "kube-system", name)
		}})
	}
	if providers != nil {
		bearer.Kinds = append(bearer.Kinds, providers)
	}
	if o.TokenWebhook != nil {
		bearer.Kinds = append(bearer.Kinds, o.TokenWebhook)
	}
	return bearer, nil
}

// providers are those of OpenID Connect, nil if there are none, and where requests without credentials are let in, nil if nowhere.
func (o *opening) providers() (*oidc.Set, *authn.Nobody, error) {
	anonymous := &authn.Nobody{}
	if o.NoAnonymous {
		anonymous = nil
	} else if slices.Contains(o.Modes, "AlwaysAllow") {
		klog.Warning("Requests without credentials are refused, since --authorization-mode=AlwaysAllow would let them do everything")
		anonymous = nil
	}
	var config *oidc.Configuration
	var algorithms []string
	var err error
	if o.OIDC != nil {
		if config, algorithms, err = o.OIDC.Configuration(o.Issuers); err != nil {
			return nil, nil, err
		}
	}
	var content []byte
	if o.AuthenticationFile != "" {
		if config != nil {
			return nil, nil, errors.New("--authentication-config and the --oidc flags exclude each other")
		}
		if content, err = os.ReadFile(o.AuthenticationFile); err == nil {
			config, err = oidc.Parse(content, o.Issuers)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("--authentication-config %s: %w", o.AuthenticationFile, err)
		}
		if config.Anonymous != nil {
			if o.AnonymousGiven {
				return nil, nil, field.Forbidden(field.NewPath("anonymous"), "--anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file")
			}
			anonymous = nobody(config.Anonymous)
		}
	}
	if config == nil {
		return nil, anonymous, nil
	}
	set, err := oidc.Open(o.ctx, config, algorithms, o.Issuers)
	if err == nil && content != nil {
		go set.Watch(o.ctx, o.AuthenticationFile, content)
	}
	return set, anonymous, err
}

// nobody is what a configuration says of requests without credentials.
func nobody(config *oidc.Anonymous) *authn.Nobody {
	if !config.Enabled {
		return nil
	}
	allowed := &authn.Nobody{}
	for _, condition := range config.Conditions {
		allowed.Paths = append(allowed.Paths, condition.Path)
	}
	return allowed
}
