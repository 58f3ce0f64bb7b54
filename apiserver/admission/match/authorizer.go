package match

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Asker lets expressions ask the server's authorizer, in the form that their library wants. It asks each question of a request once.
type Asker struct {
	authorizer request.Authorizer

	mu    sync.Mutex
	known map[question]verdict
}

// Asker returns one for a request.
func (w *World) Asker() *Asker { return &Asker{authorizer: w.Authorizer} }

// question is what an expression may ask, as a map's key.
type question struct {
	user string
	request.Info
}

type verdict struct {
	decision authorizer.Decision
	reason   string
	err      error
}

// Authorize is authorizer.Authorizer.
func (k *Asker) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	q := question{a.GetUser().GetName(), infoOf(a)}
	k.mu.Lock()
	known, found := k.known[q]
	k.mu.Unlock()
	if !found {
		known = k.ask(ctx, &q.Info, a.GetUser())
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.known == nil {
			k.known = map[question]verdict{}
		}
		k.known[q] = known
	}
	return known.decision, known.reason, known.err
}

var decisions = map[request.Decision]authorizer.Decision{
	request.Allow: authorizer.DecisionAllow, request.Deny: authorizer.DecisionDeny, request.NoOpinion: authorizer.DecisionNoOpinion,
}

func (k *Asker) ask(ctx context.Context, info *request.Info, u user.Info) verdict {
	who := resource.User{Name: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: u.GetExtra()}
	decision, reason, err := k.authorizer.Authorize(ctx, info, who)
	return verdict{decisions[decision], reason, err}
}

func infoOf(a authorizer.Attributes) request.Info {
	info := request.Info{
		IsResource: a.IsResourceRequest(), Path: a.GetPath(), Verb: a.GetVerb(), Group: a.GetAPIGroup(), Version: a.GetAPIVersion(),
		Resource: a.GetResource(), Subresource: a.GetSubresource(), Namespace: a.GetNamespace(), Name: a.GetName(),
	}
	if requirements, err := a.GetFieldSelector(); err == nil {
		info.FieldSelector = fieldText(requirements)
	}
	if requirements, err := a.GetLabelSelector(); err == nil && len(requirements) > 0 {
		info.LabelSelector = labels.NewSelector().Add(requirements...).String()
	}
	return info
}

func fieldText(requirements fields.Requirements) string {
	var all []fields.Selector
	for _, r := range requirements {
		if r.Operator == selection.NotEquals {
			all = append(all, fields.OneTermNotEqualSelector(r.Field, r.Value))
		} else {
			all = append(all, fields.OneTermEqualSelector(r.Field, r.Value))
		}
	}
	if all == nil {
		return ""
	}
	return fields.AndSelectors(all...).String()
}
