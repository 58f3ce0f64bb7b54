package oidc

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

// rules are an Authenticator's mappings and rules, compiled.
type rules struct {
	mappings            *Mappings
	required            []ClaimRule // those of a claim and its value
	username            *expression // nil: by the claim, as the others
	groups, uid         *expression
	extra               []*expression
	onClaims, onUser    []*expression
	looksAtClaimsValues bool
}

// compile checks an Authenticator and compiles its expressions.
func (a *Authenticator) compile(disallowed []string, path *field.Path) (*rules, field.ErrorList) {
	errs := a.Issuer.validate(disallowed, path.Child("issuer"))
	made := &rules{mappings: &a.ClaimMappings}
	add := func(text, variable string, kind *cel.Type, path *field.Path) *expression {
		if text == "" {
			return nil
		}
		compiled, err := compile(text, variable, kind, path)
		if err != nil {
			errs = append(errs, err)
		}
		return compiled
	}
	at, claims, texts := path.Child("claimValidationRules"), seen{}, seen{}
	for i, rule := range a.ClaimValidationRules {
		errs = append(errs, rule.validate(at.Index(i))...)
		if rule.Claim != "" {
			errs = claims.once(errs, rule.Claim, at.Index(i).Child("claim"))
			made.required = append(made.required, rule)
			continue
		}
		errs = texts.once(errs, rule.Expression, at.Index(i).Child("expression"))
		if compiled := add(rule.Expression, "claims", cel.BoolType, at.Index(i).Child("expression")); compiled != nil {
			compiled.message = rule.Message
			made.onClaims = append(made.onClaims, compiled)
		}
	}
	errs = append(errs, a.ClaimMappings.compile(made, add, path.Child("claimMappings"))...)
	at, texts = path.Child("userValidationRules"), seen{}
	for i, rule := range a.UserValidationRules {
		if rule.Expression == "" {
			errs = append(errs, field.Required(at.Index(i).Child("expression"), ""))
			continue
		}
		errs = texts.once(errs, rule.Expression, at.Index(i).Child("expression"))
		if compiled := add(rule.Expression, "user", cel.BoolType, at.Index(i).Child("expression")); compiled != nil {
			compiled.message = rule.Message
			made.onUser = append(made.onUser, compiled)
		}
	}
	made.looksAtClaimsValues = made.username != nil || made.groups != nil || made.uid != nil || len(made.extra) > 0 || len(made.onClaims) > 0
	return made, errs
}

// compile checks the mappings; add compiles, and keeps errors.
func (m *Mappings) compile(made *rules, add func(string, string, *cel.Type, *field.Path) *expression, path *field.Path) field.ErrorList {
	errs := m.Username.validate(path.Child("username"), true, true)
	errs = append(errs, m.Groups.validate(path.Child("groups"), false, true)...)
	errs = append(errs, m.UID.validate(path.Child("uid"), false, false)...)
	made.username = add(m.Username.Expression, "claims", nil, path.Child("username", "expression"))
	made.groups = add(m.Groups.Expression, "claims", nil, path.Child("groups", "expression"))
	made.uid = add(m.UID.Expression, "claims", nil, path.Child("uid", "expression"))
	keys := seen{}
	for i, mapping := range m.Extra {
		at := path.Child("extra").Index(i)
		errs = append(errs, mapping.validate(at)...)
		errs = keys.once(errs, mapping.Key, at.Child("key"))
		if compiled := add(mapping.ValueExpression, "claims", nil, at.Child("valueExpression")); compiled != nil {
			compiled.key = mapping.Key
			made.extra = append(made.extra, compiled)
		}
	}
	if made.username != nil && made.username.uses("email") && !made.verifiesEmail() {
		errs = append(errs, field.Invalid(path.Child("username", "expression"), m.Username.Expression,
			"claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression"))
	}
	return errs
}

// verifiesEmail says whether any rule looks at whether the provider has verified the address.
func (r *rules) verifiesEmail() bool {
	for _, e := range append(append([]*expression{r.username}, r.extra...), r.onClaims...) {
		if e.uses("email_verified") {
			return true
		}
	}
	return false
}

// claims are a token's.
type claims map[string]json.RawMessage

// text reads a claim that must be a string.
func (c claims) text(name string) (string, error) {
	raw, there := c[name]
	if !there {
		return "", fmt.Errorf("claim %q is not present", name)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("claim %q: %w", name, err)
	}
	return text, nil
}

// values are the claims as expressions see them.
func (c claims) values() (map[string]any, error) {
	values := make(map[string]any, len(c))
	for name, raw := range c {
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, fmt.Errorf("claim %q: %w", name, err)
		}
		values[name] = value
	}
	return values, nil
}

// user makes a user of claims, or says which rule they break.
func (r *rules) user(c claims) (*resource.User, error) {
	var values map[string]any
	var err error
	if r.looksAtClaimsValues {
		if values, err = c.values(); err != nil {
			return nil, err
		}
	}
	user := &resource.User{Extra: map[string][]string{}}
	if user.Name, err = r.nameOf(c, values); err != nil {
		return nil, fmt.Errorf("username: %w", err)
	}
	if user.Groups, err = r.groupsOf(c, values); err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	if user.UID, err = r.uidOf(c, values); err != nil {
		return nil, fmt.Errorf("uid: %w", err)
	}
	if id, err := c.text("jti"); err == nil && id != "" {
		user.Extra["authentication.kubernetes.io/credential-id"] = []string{"JTI=" + id}
	}
	for _, mapping := range r.extra {
		result, err := mapping.eval("claims", values)
		if err != nil {
			return nil, fmt.Errorf("extra %s: %w", mapping.key, err)
		}
		found, err := stringsOf(result)
		if err != nil {
			return nil, fmt.Errorf("extra %s: %w", mapping.key, err)
		}
		if len(found) > 0 {
			user.Extra[mapping.key] = found
		}
	}
	for _, rule := range r.required {
		value, err := c.text(rule.Claim)
		if err != nil {
			return nil, fmt.Errorf("required claim: %w", err)
		}
		if value != rule.RequiredValue {
			return nil, fmt.Errorf("required claim %s value does not match. Got = %s, want = %s", rule.Claim, value, rule.RequiredValue)
		}
	}
	if err := holds(r.onClaims, "claims", values); err != nil {
		return nil, err
	}
	return user, holds(r.onUser, "user", userValue(user))
}

func (r *rules) nameOf(c claims, values map[string]any) (string, error) {
	if r.username != nil {
		result, err := r.username.eval("claims", values)
		if err != nil {
			return "", err
		}
		name, ok := result.Value().(string)
		if !ok {
			return "", errors.New("the expression must return a string")
		}
		if name == "" {
			return "", errors.New("an empty name is not allowed")
		}
		return name, nil
	}
	mapping := r.mappings.Username
	name, err := c.text(mapping.Claim)
	if err != nil {
		return "", err
	}
	if mapping.Claim == "email" {
		// A provider may leave the claim out; it must not say that the address is not verified.
		verified := true
		if raw, there := c["email_verified"]; there {
			if err := json.Unmarshal(raw, &verified); err != nil {
				return "", fmt.Errorf("claim email_verified: %w", err)
			}
		}
		if !verified {
			return "", errors.New("email not verified")
		}
	}
	return prefixOf(&mapping) + name, nil
}

func (r *rules) groupsOf(c claims, values map[string]any) ([]string, error) {
	if r.groups != nil {
		result, err := r.groups.eval("claims", values)
		if err != nil {
			return nil, err
		}
		return stringsOf(result)
	}
	mapping := r.mappings.Groups
	raw, there := c[mapping.Claim]
	if mapping.Claim == "" || !there || string(raw) == "null" {
		return nil, nil
	}
	var groups []string
	if json.Unmarshal(raw, &groups) != nil {
		var one string
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, fmt.Errorf("claim %q: %w", mapping.Claim, err)
		}
		groups = []string{one}
	}
	for i := range groups {
		groups[i] = prefixOf(&mapping) + groups[i]
	}
	return groups, nil
}

func (r *rules) uidOf(c claims, values map[string]any) (string, error) {
	if r.uid != nil {
		result, err := r.uid.eval("claims", values)
		if err != nil {
			return "", err
		}
		uid, ok := result.Value().(string)
		if !ok {
			return "", errors.New("the expression must return a string")
		}
		return uid, nil
	}
	if r.mappings.UID.Claim == "" {
		return "", nil
	}
	return c.text(r.mappings.UID.Claim)
}

func prefixOf(m *Mapping) string {
	if m.Prefix == nil {
		return ""
	}
	return *m.Prefix
}
