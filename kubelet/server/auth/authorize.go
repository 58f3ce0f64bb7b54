package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// verbs are what methods mean for the review.
var verbs = map[string]string{
	http.MethodPost: "create", http.MethodGet: "get", http.MethodHead: "get",
	http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// areas are the parts of the port that have a subresource of nodes of their own; everything else is nodes/proxy, which lets one do anything.
// Where also is set, nodes/proxy serves for it too.
var areas = []struct {
	path, subresource string
	also              bool
}{
	{path: "/stats", subresource: "stats"},
	{path: "/metrics", subresource: "metrics"},
	{path: "/logs", subresource: "log"},
	{path: "/checkpoint", subresource: "checkpoint"},
	{path: "/healthz", subresource: "healthz", also: true},
	{path: "/configz", subresource: "configz", also: true},
	{path: "/pods", subresource: "pods", also: true},
	{path: "/runningpods", subresource: "pods", also: true},
}

// subresources returns those of which one permission suffices, in the order to ask for them.
func subresources(path string) []string {
	for _, area := range areas {
		if path != area.path && !strings.HasPrefix(path, area.path+"/") {
			continue
		}
		if area.also {
			return []string{area.subresource, "proxy"}
		}
		return []string{area.subresource}
	}
	return []string{"proxy"}
}

// authorize asks whether the user may; refusal describes the request for the answer to them.
func (g *Guard) authorize(ctx context.Context, user *User, r *http.Request) (allowed bool, refusal string, err error) {
	if g.config.AlwaysAllow {
		return true, "", nil
	}
	verb, wanted := verbs[r.Method], subresources(r.URL.Path)
	refusal = fmt.Sprintf("user=%s, verb=%s, resource=nodes, subresource(s)=%v", user.Name, verb, wanted)
	if g.config.Reviews == nil {
		return false, refusal, nil
	}
	for _, subresource := range wanted {
		if allowed, err = g.review(ctx, user, verb, subresource); allowed || err != nil {
			return allowed, refusal, err
		}
	}
	return false, refusal, nil
}

// review is one SubjectAccessReview, remembered for a while.
func (g *Guard) review(ctx context.Context, user *User, verb, subresource string) (bool, error) {
	spec := authorizationv1.SubjectAccessReviewSpec{
		User: user.Name, UID: user.UID, Groups: user.Groups,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Version: "v1", Resource: "nodes", Subresource: subresource, Name: g.config.NodeName,
		},
	}
	if len(user.Extra) > 0 {
		spec.Extra = map[string]authorizationv1.ExtraValue{}
		for name, values := range user.Extra {
			spec.Extra[name] = values
		}
	}
	encoded, err := json.Marshal(spec)
	if err != nil {
		return false, err
	}
	key := string(encoded)
	if allowed, ok := g.reviews.get(key); ok {
		return allowed, nil
	}
	review, err := g.config.Reviews.AuthorizationV1().SubjectAccessReviews().Create(ctx,
		&authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		klog.FromContext(ctx).Error(err, "SubjectAccessReview failed")
		return false, err
	}
	ttl := g.config.DenyTTL
	if review.Status.Allowed {
		ttl = g.config.AllowTTL
	}
	g.reviews.put(key, review.Status.Allowed, ttl)
	return review.Status.Allowed, nil
}
