// Package authz decides whether a user may do what a request asks for: a chain of authorizers, each of which allows,
// denies or has no opinion.
package authz

import (
	"context"
	"errors"
	"slices"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Masters is the group that may do everything, before any authorizer is asked.
const Masters = "system:masters"

// Chain asks each authorizer in turn; the first that allows or denies decides. No opinion at all is a denial.
type Chain []request.Authorizer

// Authorize is request.Authorizer. Errors of those without an opinion are joined, and their reasons too.
func (c Chain) Authorize(ctx context.Context, info *request.Info, user resource.User) (request.Decision, string, error) {
	var errs []error
	reasons := ""
	for _, authorizer := range c {
		decision, reason, err := authorizer.Authorize(ctx, info, user)
		if decision != request.NoOpinion {
			return decision, reason, err
		}
		if err != nil {
			errs = append(errs, err)
		}
		if reason != "" && reasons != "" {
			reasons += ", "
		}
		reasons += reason
	}
	return request.NoOpinion, reasons, errors.Join(errs...)
}

// Rules is request.RuleLister: what all that can list say together. It is incomplete if any cannot.
func (c Chain) Rules(ctx context.Context, user resource.User, namespace string) (resources []request.ResourceRule, paths []request.PathRule, incomplete bool, err error) {
	var errs []error
	for _, authorizer := range c {
		lister, ok := authorizer.(request.RuleLister)
		if !ok {
			incomplete = true
			continue
		}
		moreResources, morePaths, part, err := lister.Rules(ctx, user, namespace)
		resources, paths, incomplete = append(resources, moreResources...), append(paths, morePaths...), incomplete || part
		if err != nil {
			errs = append(errs, err)
		}
	}
	return resources, paths, incomplete, errors.Join(errs...)
}

// MastersAllowed allows the group system:masters everything.
type MastersAllowed struct{}

// Authorize is request.Authorizer.
func (MastersAllowed) Authorize(_ context.Context, _ *request.Info, user resource.User) (request.Decision, string, error) {
	if slices.Contains(user.Groups, Masters) {
		return request.Allow, "", nil
	}
	return request.NoOpinion, "", nil
}

// Rules is request.RuleLister.
func (MastersAllowed) Rules(_ context.Context, user resource.User, _ string) ([]request.ResourceRule, []request.PathRule, bool, error) {
	if !slices.Contains(user.Groups, Masters) {
		return nil, nil, false, nil
	}
	return everything()
}

// Always gives every request the same answer: --authorization-mode AlwaysAllow and AlwaysDeny.
type Always request.Decision

// Authorize is request.Authorizer.
func (a Always) Authorize(context.Context, *request.Info, resource.User) (request.Decision, string, error) {
	if request.Decision(a) == request.Allow {
		return request.Allow, "", nil
	}
	return request.NoOpinion, "Everything is forbidden.", nil
}

// Rules is request.RuleLister.
func (a Always) Rules(context.Context, resource.User, string) ([]request.ResourceRule, []request.PathRule, bool, error) {
	if request.Decision(a) != request.Allow {
		return nil, nil, false, nil
	}
	return everything()
}

func everything() ([]request.ResourceRule, []request.PathRule, bool, error) {
	all := []string{"*"}
	return []request.ResourceRule{{Verbs: all, APIGroups: all, Resources: all}}, []request.PathRule{{Verbs: all, Paths: all}}, false, nil
}
