package oidc

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/pflag"
)

// Flags are the --oidc-* flags: one provider without a file.
type Flags struct {
	issuerURL, clientID, caFile   string
	usernameClaim, usernamePrefix string
	groupsClaim, groupsPrefix     string
	algorithms                    []string
	required                      map[string]string
}

// Add declares the flags, with upstream's defaults.
func (f *Flags) Add(flags *pflag.FlagSet) {
	flags.StringVar(&f.issuerURL, "oidc-issuer-url", "", "URL of an OpenID Connect provider whose tokens are taken; https only")
	flags.StringVar(&f.clientID, "oidc-client-id", "", "client ID for which its tokens must be made; needed with --oidc-issuer-url")
	flags.StringVar(&f.caFile, "oidc-ca-file", "", "authorities of the provider's certificate; the host's if not given")
	flags.StringVar(&f.usernameClaim, "oidc-username-claim", "sub", "claim that is the user's name")
	flags.StringVar(&f.usernamePrefix, "oidc-username-prefix", "", `prefix of names; the issuer's URL and "#" if not given and the claim is not email; "-": none`)
	flags.StringVar(&f.groupsClaim, "oidc-groups-claim", "", "claim that is the user's groups")
	flags.StringVar(&f.groupsPrefix, "oidc-groups-prefix", "", "prefix of groups")
	flags.StringSliceVar(&f.algorithms, "oidc-signing-algs", []string{"RS256"}, "algorithms by which tokens may be signed")
	flags.StringToStringVar(&f.required, "oidc-required-claim", nil, "key=value pairs that tokens must claim")
}

// Configuration is what the flags say, and by which algorithms tokens may be signed; nil if none was given.
func (f *Flags) Configuration(disallowed []string) (*Configuration, []string, error) {
	if f.issuerURL == "" && f.clientID == "" {
		return nil, nil, nil
	}
	if f.issuerURL == "" || f.clientID == "" {
		return nil, nil, errors.New("--oidc-issuer-url and --oidc-client-id must be specified together")
	}
	one := Authenticator{Issuer: Issuer{URL: f.issuerURL, Audiences: []string{f.clientID}}}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, nil, fmt.Errorf("--oidc-ca-file: %w", err)
		}
		one.Issuer.CertificateAuthority = string(pem)
	}
	prefix := f.usernamePrefix
	switch {
	case prefix == "-":
		prefix = ""
	case prefix == "" && f.usernameClaim != "email":
		prefix = f.issuerURL + "#"
	}
	one.ClaimMappings.Username = Mapping{Claim: f.usernameClaim, Prefix: &prefix}
	if f.groupsClaim != "" {
		one.ClaimMappings.Groups = Mapping{Claim: f.groupsClaim, Prefix: &f.groupsPrefix}
	}
	for claim, value := range f.required {
		one.ClaimValidationRules = append(one.ClaimValidationRules, ClaimRule{Claim: claim, RequiredValue: value})
	}
	for _, name := range f.algorithms {
		if !slices.Contains(Algorithms, name) {
			return nil, nil, fmt.Errorf("--oidc-signing-algs: unsupported signing alg: %q", name)
		}
	}
	config := &Configuration{JWT: []Authenticator{one}}
	if errs := config.Validate(disallowed); len(errs) > 0 {
		return nil, nil, fmt.Errorf("--oidc flags: %w", errs.ToAggregate())
	}
	return config, f.algorithms, nil
}
