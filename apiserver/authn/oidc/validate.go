package oidc

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxAuthenticators is how many providers there may be, as upstream.
const maxAuthenticators = 64

// Validate returns all that is wrong. Expressions are compiled for it.
func (c *Configuration) Validate(disallowed []string) field.ErrorList {
	var errs field.ErrorList
	root := field.NewPath("jwt")
	if len(c.JWT) > maxAuthenticators {
		errs = append(errs, field.TooMany(root, len(c.JWT), maxAuthenticators))
	}
	urls, discoveries := seen{}, seen{}
	for i := range c.JWT {
		path, issuer := root.Index(i), &c.JWT[i].Issuer
		_, problems := c.JWT[i].compile(disallowed, path)
		errs = append(errs, problems...)
		errs = urls.once(errs, issuer.URL, path.Child("issuer", "url"))
		if issuer.DiscoveryURL != "" {
			errs = discoveries.once(errs, issuer.DiscoveryURL, path.Child("issuer", "discoveryURL"))
		}
	}
	if a := c.Anonymous; a != nil {
		path := field.NewPath("anonymous", "conditions")
		if !a.Enabled && len(a.Conditions) > 0 {
			errs = append(errs, field.Invalid(path, a.Conditions, "enabled should be set to true when conditions are defined"))
		}
	}
	return errs
}

// seen finds what is there twice.
type seen map[string]bool

func (s seen) once(errs field.ErrorList, value string, path *field.Path) field.ErrorList {
	if s[value] {
		errs = append(errs, field.Duplicate(path, value))
	}
	s[value] = true
	return errs
}

func (i *Issuer) validate(disallowed []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if i.URL == "" {
		errs = append(errs, field.Required(path.Child("url"), ""))
	} else {
		errs = append(errs, validateURL(i.URL, disallowed, path.Child("url"))...)
	}
	if i.DiscoveryURL != "" {
		if i.URL != "" && strings.TrimRight(i.URL, "/") == strings.TrimRight(i.DiscoveryURL, "/") {
			errs = append(errs, field.Invalid(path.Child("discoveryURL"), i.DiscoveryURL, "discoveryURL must be different from URL"))
		}
		errs = append(errs, validateURL(i.DiscoveryURL, nil, path.Child("discoveryURL"))...)
	}
	if i.CertificateAuthority != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(i.CertificateAuthority)) {
		errs = append(errs, field.Invalid(path.Child("certificateAuthority"), "<omitted>", "data does not contain any valid RSA or ECDSA certificates"))
	}
	if i.EgressSelectorType != "" {
		errs = append(errs, field.Invalid(path.Child("egressSelectorType"), i.EgressSelectorType, "egress selectors are not supported by this server"))
	}
	return append(errs, i.validateAudiences(path)...)
}

func validateURL(text string, disallowed []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if slices.Contains(disallowed, text) {
		errs = append(errs, field.Invalid(path, text, fmt.Sprintf("URL must not overlap with disallowed issuers: %s", disallowed)))
	}
	u, err := url.Parse(text)
	if err != nil {
		return append(errs, field.Invalid(path, text, err.Error()))
	}
	for _, rule := range []struct {
		broken bool
		what   string
	}{
		{u.Scheme != "https", "URL scheme must be https"}, {u.User != nil, "URL must not contain a username or password"},
		{u.RawQuery != "", "URL must not contain a query"}, {u.Fragment != "", "URL must not contain a fragment"},
	} {
		if rule.broken {
			errs = append(errs, field.Invalid(path, text, rule.what))
		}
	}
	return errs
}

func (i *Issuer) validateAudiences(path *field.Path) field.ErrorList {
	list, policy := path.Child("audiences"), path.Child("audienceMatchPolicy")
	if len(i.Audiences) == 0 {
		return field.ErrorList{field.Required(list, fmt.Sprintf("at least one %s is required", list))}
	}
	var errs field.ErrorList
	twice := seen{}
	for n, audience := range i.Audiences {
		if audience == "" {
			errs = append(errs, field.Required(list.Index(n), ""))
		}
		errs = twice.once(errs, audience, list.Index(n))
	}
	if len(i.Audiences) > 1 && i.AudienceMatchPolicy != "MatchAny" {
		errs = append(errs, field.Invalid(policy, i.AudienceMatchPolicy, "audienceMatchPolicy must be MatchAny for multiple audiences"))
	}
	if len(i.Audiences) == 1 && i.AudienceMatchPolicy != "" && i.AudienceMatchPolicy != "MatchAny" {
		errs = append(errs, field.Invalid(policy, i.AudienceMatchPolicy, "audienceMatchPolicy must be empty or MatchAny for single audience"))
	}
	return errs
}

// validate checks the form of a mapping.
func (m *Mapping) validate(path *field.Path, needed, prefixed bool) field.ErrorList {
	switch {
	case m.Claim != "" && m.Expression != "":
		return field.ErrorList{field.Invalid(path, "", "claim and expression can't both be set")}
	case m.Claim == "" && m.Expression == "" && needed:
		return field.ErrorList{field.Required(path, "claim or expression is required")}
	case m.Expression != "" && m.Prefix != nil:
		return field.ErrorList{field.Invalid(path.Child("prefix"), *m.Prefix, "may not be specified when expression is set")}
	case m.Claim != "" && prefixed && m.Prefix == nil:
		return field.ErrorList{field.Required(path.Child("prefix"), "prefix is required when claim is set. It can be set to an empty string to disable prefixing")}
	}
	return nil
}

func (m *ExtraMapping) validate(path *field.Path) field.ErrorList {
	key := path.Child("key")
	errs := utilvalidation.IsDomainPrefixedPath(key, m.Key)
	if m.Key != strings.ToLower(m.Key) {
		errs = append(errs, field.Invalid(key, m.Key, "must be lowercase"))
	}
	domain, _, _ := strings.Cut(m.Key, "/")
	for _, reserved := range []string{"kubernetes.io", "k8s.io"} {
		if domain == reserved || strings.HasSuffix(domain, "."+reserved) {
			errs = append(errs, field.Invalid(key, m.Key, "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"))
		}
	}
	if m.ValueExpression == "" {
		errs = append(errs, field.Required(path.Child("valueExpression"), ""))
	}
	return errs
}

// validate checks the form of a rule on claims.
func (r *ClaimRule) validate(path *field.Path) field.ErrorList {
	switch {
	case r.Claim != "" && r.Expression != "":
		return field.ErrorList{field.Invalid(path, r.Claim, "claim and expression can't both be set")}
	case r.Claim == "" && r.Expression == "":
		return field.ErrorList{field.Required(path, "claim or expression is required")}
	case r.Claim != "" && r.Message != "":
		return field.ErrorList{field.Invalid(path.Child("message"), r.Message, "may not be specified when claim is set")}
	case r.Expression != "" && r.RequiredValue != "":
		return field.ErrorList{field.Invalid(path.Child("requiredValue"), r.RequiredValue, "may not be specified when expression is set")}
	}
	return nil
}
