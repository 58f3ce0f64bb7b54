package apiserver

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/apiserver/authz/remote"
)

// hookFlags are the flags of authentication and authorization that name files: configurations, policies and webhooks.
type hookFlags struct {
	authentication, authorization, policies string

	tokens, tokensVersion string
	tokensTTL             time.Duration

	access, accessVersion string
	allowed, refused      time.Duration

	lookup, extend bool
}

func (o *options) addHooks(flags *pflag.FlagSet) {
	h := &o.hooks
	flags.StringVar(&h.authentication, "authentication-config", "", "file of kind AuthenticationConfiguration: OpenID Connect providers, and where anonymous requests are let in; read again when it changes")
	o.oidc.Add(flags)
	flags.StringVar(&h.tokens, "authentication-token-webhook-config-file", "", "kubeconfig file that names the webhook which knows the owners of tokens")
	flags.StringVar(&h.tokensVersion, "authentication-token-webhook-version", "v1beta1", "version of the TokenReviews that it is sent: v1 or v1beta1")
	flags.DurationVar(&h.tokensTTL, "authentication-token-webhook-cache-ttl", 2*time.Minute, "how long its answers are kept")
	flags.BoolVar(&h.lookup, "service-account-lookup", true, "take only tokens of service accounts that exist")
	flags.BoolVar(&h.extend, "service-account-extend-token-expiration", true, "let the tokens of Pods live for a year where clients do not read them again")

	flags.StringVar(&h.authorization, "authorization-config", "", "file of kind AuthorizationConfiguration: who decides, in order; read again when it changes")
	flags.StringVar(&h.policies, "authorization-policy-file", "", "policies of the mode ABAC, a JSON object a line")
	flags.StringVar(&h.access, "authorization-webhook-config-file", "", "kubeconfig file that names the webhook of the mode Webhook")
	flags.StringVar(&h.accessVersion, "authorization-webhook-version", "v1beta1", "version of the SubjectAccessReviews that it is sent: v1 or v1beta1")
	flags.DurationVar(&h.allowed, "authorization-webhook-cache-authorized-ttl", 5*time.Minute, "how long it is kept that it allows")
	flags.DurationVar(&h.refused, "authorization-webhook-cache-unauthorized-ttl", 30*time.Second, "how long it is kept that it does not allow")
}

// apply puts the flags into a Standard. Errors name the flag.
func (h *hookFlags) apply(standard *Standard, modes []string) error {
	standard.AuthenticationFile, standard.AuthorizationFile, standard.PolicyFile = h.authentication, h.authorization, h.policies
	standard.NoLookup, standard.NoExtendedTokens = !h.lookup, !h.extend
	if h.authorization != "" && (len(modes) > 0 || h.access != "") {
		return errors.New("--authorization-config excludes --authorization-mode and the --authorization-webhook flags")
	}
	if h.access != "" {
		if h.accessVersion != "v1" && h.accessVersion != "v1beta1" {
			return fmt.Errorf("--authorization-webhook-version: %q is neither v1 nor v1beta1", h.accessVersion)
		}
		file := h.access
		standard.AuthorizationWebhook = &remote.Webhook{
			AuthorizedTTL: metav1.Duration{Duration: h.allowed}, UnauthorizedTTL: metav1.Duration{Duration: h.refused},
			SubjectAccessReviewVersion: h.accessVersion, ConnectionInfo: remote.ConnectionInfo{KubeConfigFile: &file},
		}
	}
	if h.tokens == "" {
		return nil
	}
	audiences := standard.Audiences
	if len(audiences) == 0 {
		audiences = standard.Issuers
	}
	var err error
	standard.TokenWebhook, err = authn.LoadWebhookTokens(h.tokens, h.tokensVersion, h.tokensTTL, audiences)
	return err
}
