package connect

import (
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// answer runs what all reviews have in common: read the body, let admission and validation see it, fill in the status, send it.
func answer[T resource.Object](w http.ResponseWriter, r *http.Request, conn *rest.Connection, review T, validate func(T) field.ErrorList, decide func(T) error) error {
	gvk := conn.Resource.GroupVersionKind
	if err := rest.Body(r, review, gvk); err != nil {
		return err
	}
	dry := request.Query(r)["dryRun"]
	attributes := &admission.Attributes{Operation: admission.Create, Kind: gvk, Object: review, DryRun: len(dry) > 0, Options: &metav1.CreateOptions{DryRun: dry}}
	if err := conn.Resource.Admit(r, attributes); err != nil {
		return err
	}
	if errs := validate(review); len(errs) > 0 {
		return apierrors.NewInvalid(gvk.GroupKind(), "", errs)
	}
	if err := decide(review); err != nil {
		return err
	}
	request.Write(w, r, http.StatusCreated, gvk, review)
	return nil
}

func (c *connector) reviewToken(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	return answer(w, r, conn, &authenticationv1.TokenReview{}, func(t *authenticationv1.TokenReview) field.ErrorList {
		if t.Spec.Token == "" {
			return field.ErrorList{field.Required(field.NewPath("spec", "token"), "token is required for TokenReview in authentication")}
		}
		return nil
	}, func(t *authenticationv1.TokenReview) error {
		audiences := t.Spec.Audiences
		if len(audiences) == 0 {
			audiences = c.Audiences
		}
		t.Status = authenticationv1.TokenReviewStatus{}
		if c.Tokens == nil {
			return nil
		}
		identity, err := c.Tokens.Token(r.Context(), t.Spec.Token, audiences)
		if err != nil {
			t.Status.Error = err.Error()
			return nil
		}
		if identity == nil {
			return nil
		}
		if identity.Audiences == nil && len(t.Spec.Audiences) > 0 {
			// A kind of token without audiences is meant for this server alone.
			identity.Audiences = slices.DeleteFunc(slices.Clone(audiences), func(a string) bool { return !slices.Contains(c.Audiences, a) })
			if len(identity.Audiences) == 0 {
				return nil
			}
		}
		t.Status.Authenticated = true
		t.Status.User = authenticatedUser(identity.User)
		t.Status.Audiences = identity.Audiences
		return nil
	})
}

func authenticatedUser(user resource.User) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: user.Name, UID: user.UID, Groups: append(user.Groups[:len(user.Groups):len(user.Groups)], "system:authenticated")}
	for key, values := range user.Extra {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[key] = values
	}
	return info
}

func (c *connector) reviewSelf(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	none := func(*authenticationv1.SelfSubjectReview) field.ErrorList { return nil }
	return answer(w, r, conn, &authenticationv1.SelfSubjectReview{}, none, func(s *authenticationv1.SelfSubjectReview) error {
		user := conn.User
		s.Status.UserInfo = authenticationv1.UserInfo{Username: user.Name, UID: user.UID, Groups: user.Groups}
		for key, values := range user.Extra {
			if s.Status.UserInfo.Extra == nil {
				s.Status.UserInfo.Extra = map[string]authenticationv1.ExtraValue{}
			}
			s.Status.UserInfo.Extra[key] = values
		}
		return nil
	})
}

func (c *connector) reviewAccess(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	return answer(w, r, conn, &authorizationv1.SubjectAccessReview{}, func(s *authorizationv1.SubjectAccessReview) field.ErrorList {
		return validateAccess(s.Spec.ResourceAttributes, s.Spec.NonResourceAttributes, s.Spec.User, s.Spec.Groups, true)
	}, func(s *authorizationv1.SubjectAccessReview) error {
		s.Status = c.decide(r, s.Spec.ResourceAttributes, s.Spec.NonResourceAttributes, reviewedUser(&s.Spec))
		return nil
	})
}

func (c *connector) reviewLocalAccess(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	return answer(w, r, conn, &authorizationv1.LocalSubjectAccessReview{}, func(s *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
		errs := validateAccess(s.Spec.ResourceAttributes, s.Spec.NonResourceAttributes, s.Spec.User, s.Spec.Groups, true)
		path := field.NewPath("spec", "resourceAttributes", "namespace")
		if s.Spec.ResourceAttributes != nil && s.Spec.ResourceAttributes.Namespace != conn.Key.Namespace {
			errs = append(errs, field.Invalid(path, s.Spec.ResourceAttributes.Namespace, "must match metadata.namespace"))
		}
		if s.Spec.NonResourceAttributes != nil {
			errs = append(errs, field.Invalid(field.NewPath("spec", "nonResourceAttributes"), s.Spec.NonResourceAttributes, "disallowed on this kind of request"))
		}
		return errs
	}, func(s *authorizationv1.LocalSubjectAccessReview) error {
		s.Namespace = conn.Key.Namespace
		s.Status = c.decide(r, s.Spec.ResourceAttributes, nil, reviewedUser(&s.Spec))
		return nil
	})
}

func (c *connector) reviewOwnAccess(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	return answer(w, r, conn, &authorizationv1.SelfSubjectAccessReview{}, func(s *authorizationv1.SelfSubjectAccessReview) field.ErrorList {
		return validateAccess(s.Spec.ResourceAttributes, s.Spec.NonResourceAttributes, "", nil, false)
	}, func(s *authorizationv1.SelfSubjectAccessReview) error {
		s.Status = c.decide(r, s.Spec.ResourceAttributes, s.Spec.NonResourceAttributes, conn.User)
		return nil
	})
}

func (c *connector) reviewOwnRules(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	none := func(*authorizationv1.SelfSubjectRulesReview) field.ErrorList { return nil }
	return answer(w, r, conn, &authorizationv1.SelfSubjectRulesReview{}, none, func(s *authorizationv1.SelfSubjectRulesReview) error {
		if s.Spec.Namespace == "" {
			return apierrors.NewBadRequest("no namespace on request")
		}
		lister, ok := c.Authorizer.(request.RuleLister)
		if !ok {
			s.Status = authorizationv1.SubjectRulesReviewStatus{Incomplete: true, EvaluationError: "the authorizer cannot list rules"}
			return nil
		}
		resources, paths, incomplete, err := lister.Rules(r.Context(), conn.User, s.Spec.Namespace)
		s.Status = authorizationv1.SubjectRulesReviewStatus{
			Incomplete: incomplete, ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{},
		}
		for _, rule := range resources {
			s.Status.ResourceRules = append(s.Status.ResourceRules, authorizationv1.ResourceRule(rule))
		}
		for _, rule := range paths {
			s.Status.NonResourceRules = append(s.Status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: rule.Verbs, NonResourceURLs: rule.Paths})
		}
		if err != nil {
			s.Status.EvaluationError = err.Error()
		}
		return nil
	})
}

func validateAccess(of *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes, user string, groups []string, needsUser bool) field.ErrorList {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if of != nil && path != nil {
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), path, "cannot be specified in combination with resourceAttributes"))
	}
	if of == nil && path == nil {
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes"), of, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	if needsUser && user == "" && len(groups) == 0 {
		errs = append(errs, field.Invalid(spec.Child("user"), user, "at least one of user or group must be specified"))
	}
	return errs
}

func reviewedUser(spec *authorizationv1.SubjectAccessReviewSpec) resource.User {
	user := resource.User{Name: spec.User, UID: spec.UID, Groups: spec.Groups}
	for key, values := range spec.Extra {
		if user.Extra == nil {
			user.Extra = map[string][]string{}
		}
		user.Extra[strings.ToLower(key)] = values
	}
	return user
}

func (c *connector) decide(r *http.Request, of *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes, user resource.User) authorizationv1.SubjectAccessReviewStatus {
	decision, reason, err := c.Authorizer.Authorize(r.Context(), infoOf(of, path), user)
	status := authorizationv1.SubjectAccessReviewStatus{Allowed: decision == request.Allow, Denied: decision == request.Deny, Reason: reason}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	return status
}

// infoOf is the request that a review asks about.
func infoOf(of *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) *request.Info {
	if of == nil {
		return &request.Info{Verb: path.Verb, Path: path.Path}
	}
	info := &request.Info{
		IsResource: true, Verb: of.Verb, Namespace: of.Namespace, Group: of.Group, Version: of.Version,
		Resource: of.Resource, Subresource: of.Subresource, Name: of.Name,
	}
	if s := of.FieldSelector; s != nil {
		info.FieldSelector = s.RawSelector
		if info.FieldSelector == "" {
			info.FieldSelector = fieldSelector(s.Requirements)
		}
	}
	if s := of.LabelSelector; s != nil {
		info.LabelSelector = s.RawSelector
		if info.LabelSelector == "" {
			info.LabelSelector = labelSelector(s.Requirements)
		}
	}
	return info
}

// fieldSelector writes requirements in the form of a URL; those that it cannot express are left out, which asks for more.
func fieldSelector(requirements []metav1.FieldSelectorRequirement) string {
	var terms []fields.Selector
	for _, q := range requirements {
		if len(q.Values) != 1 {
			continue
		}
		switch q.Operator {
		case metav1.FieldSelectorOpIn:
			terms = append(terms, fields.OneTermEqualSelector(q.Key, q.Values[0]))
		case metav1.FieldSelectorOpNotIn:
			terms = append(terms, fields.OneTermNotEqualSelector(q.Key, q.Values[0]))
		}
	}
	return fields.AndSelectors(terms...).String()
}

func labelSelector(requirements []metav1.LabelSelectorRequirement) string {
	operators := map[metav1.LabelSelectorOperator]selection.Operator{
		metav1.LabelSelectorOpIn: selection.In, metav1.LabelSelectorOpNotIn: selection.NotIn,
		metav1.LabelSelectorOpExists: selection.Exists, metav1.LabelSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	selector := labels.NewSelector()
	for _, q := range requirements {
		if requirement, err := labels.NewRequirement(q.Key, operators[q.Operator], q.Values); err == nil {
			selector = selector.Add(*requirement)
		}
	}
	return selector.String()
}
