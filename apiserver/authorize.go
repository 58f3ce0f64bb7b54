package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/authz"
	"github.com/septet-io/septet/apiserver/authz/abac"
	"github.com/septet-io/septet/apiserver/authz/node"
	"github.com/septet-io/septet/apiserver/authz/rbac"
	"github.com/septet-io/septet/apiserver/authz/remote"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/resource"
)

// authorize builds the chain of authorizers on informers of the server's own objects.
func (o *opening) authorize(s *Server) error {
	rules, err := rbac.New(s.Loopback.Informers.Rbac().V1())
	if err != nil {
		return err
	}
	entries, content, err := o.authorizers()
	if err != nil {
		return err
	}
	made, err := o.chain(s, rules, entries)
	if err != nil {
		return err
	}
	var decides request.Authorizer = made
	if content != nil {
		swap := authz.NewSwap(made)
		decides = swap
		go o.reauthorize(s, rules, swap, entries, content)
	}
	s.authorizer = decides
	guard := &rbac.Escalation{Rules: rules, Authorizer: decides}
	for plural, check := range map[string]func(context.Context, *resource.Request, resource.Object, resource.Object) error{
		"roles": guard.Role, "clusterroles": guard.Role, "rolebindings": guard.Binding, "clusterrolebindings": guard.Binding,
	} {
		r := s.Resources.Get(schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: plural})
		r.Hooks = guarded(check)
	}
	return nil
}

// authorizers are who decides, in order; content is that of the file that says so, nil if flags do.
func (o *opening) authorizers() (entries []remote.Entry, content []byte, err error) {
	if o.AuthorizationFile != "" {
		if content, err = os.ReadFile(o.AuthorizationFile); err == nil {
			entries, err = parseAuthorizers(content)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("--authorization-config %s: %w", o.AuthorizationFile, err)
		}
		return entries, content, nil
	}
	modes := o.Modes
	if modes == nil {
		modes = []string{"Node", "RBAC"}
	}
	for i, mode := range modes {
		if slices.Contains(modes[:i], mode) {
			return nil, nil, daemon.UsageError("--authorization-mode: %q is there twice", mode)
		}
		entry := remote.Entry{Type: mode, Name: "default"}
		if mode == remote.TypeWebhook {
			if o.AuthorizationWebhook == nil {
				return nil, nil, daemon.UsageError("--authorization-mode Webhook needs --authorization-webhook-config-file")
			}
			entry.Webhook = o.AuthorizationWebhook
		}
		entries = append(entries, entry)
	}
	return entries, nil, nil
}

func parseAuthorizers(content []byte) ([]remote.Entry, error) {
	config, err := remote.Parse(content)
	if err != nil {
		return nil, err
	}
	return config.Authorizers, nil
}

// webhookPause is the first pause after a failed call of an authorization webhook.
const webhookPause = 500 * time.Millisecond

// chain makes those who decide. Members of system:masters are never refused.
func (o *opening) chain(s *Server, rules *rbac.Authorizer, entries []remote.Entry) (authz.Chain, error) {
	chain := authz.Chain{authz.MastersAllowed{}}
	for i := range entries {
		switch e := &entries[i]; e.Type {
		case "Node":
			chain = append(chain, &node.Authorizer{Objects: o})
		case "RBAC":
			chain = append(chain, rules)
			s.Health.Check("informer-sync", Ready, func(context.Context) error {
				if !rules.Synced() {
					return errors.New("roles and bindings are being read")
				}
				return nil
			})
		case "ABAC":
			policies, err := abac.Load(o.PolicyFile)
			if err != nil {
				return nil, fmt.Errorf("--authorization-policy-file: %w", err)
			}
			chain = append(chain, policies)
		case remote.TypeWebhook:
			hook, err := remote.New(e.Name, e.Webhook, webhookPause)
			if err != nil {
				return nil, fmt.Errorf("authorization webhook %s: %w", e.Name, err)
			}
			chain = append(chain, hook)
		case "AlwaysAllow":
			chain = append(chain, authz.Always(request.Allow))
		case "AlwaysDeny":
			chain = append(chain, authz.Always(request.Deny))
		default:
			return nil, daemon.UsageError("--authorization-mode: %q is not one of Node, RBAC, ABAC, Webhook, AlwaysAllow, AlwaysDeny", e.Type)
		}
	}
	return chain, nil
}

// reauthorize puts the file into use whenever it changes. As upstream has it, webhooks may come and go, the other types stay.
func (o *opening) reauthorize(s *Server, rules *rbac.Authorizer, swap *authz.Swap, first []remote.Entry, content []byte) {
	err := daemon.WatchFile(o.ctx, o.AuthorizationFile, content, func(content []byte) {
		entries, err := parseAuthorizers(content)
		if err == nil && !slices.Equal(fixed(entries), fixed(first)) {
			err = fmt.Errorf("authorizers other than webhooks cannot change while the server runs: they were %q and would be %q", fixed(first), fixed(entries))
		}
		var next authz.Chain
		if err == nil {
			next, err = o.chain(s, rules, entries)
		}
		authz.Reloaded(err)
		if err != nil {
			klog.ErrorS(err, "The authorization configuration stays as it was", "file", o.AuthorizationFile)
			return
		}
		swap.Store(next)
		klog.InfoS("The authorization configuration has changed", "file", o.AuthorizationFile)
	})
	if err != nil {
		klog.ErrorS(err, "Changes of the authorization configuration are not noticed", "file", o.AuthorizationFile)
	}
}

// fixed are the types of entries that are no webhooks, sorted.
func fixed(entries []remote.Entry) []string {
	var types []string
	for _, e := range entries {
		if e.Type != remote.TypeWebhook {
			types = append(types, e.Type)
		}
	}
	slices.Sort(types)
	return types
}
