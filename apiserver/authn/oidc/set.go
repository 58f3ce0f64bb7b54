package oidc

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/daemon"
)

// Set is the providers of a configuration, which may be read again while they are in use: authn.Tokens.
type Set struct {
	algorithms, disallowed []string
	// anonymous is what the first configuration said of that, which is not for others to change: a server that lets strangers in does so
	// from its start.
	anonymous *Anonymous
	current   atomic.Pointer[generation]
}

// generation is the providers of one reading of the configuration.
type generation struct {
	issuers []*issuer
	end     context.CancelFunc
}

// Open begins to look for the configuration's providers, until ctx ends. algorithms are those that tokens may be signed
// by; all of Algorithms if nil.
func Open(ctx context.Context, config *Configuration, algorithms, disallowed []string) (*Set, error) {
	if algorithms == nil {
		algorithms = Algorithms
	}
	for _, name := range algorithms {
		if !slices.Contains(Algorithms, name) {
			return nil, fmt.Errorf("unsupported signing alg: %q", name)
		}
	}
	s := &Set{algorithms: algorithms, disallowed: disallowed, anonymous: config.Anonymous}
	first, err := s.build(ctx, config)
	if err != nil {
		return nil, err
	}
	s.current.Store(first)
	return s, nil
}

func (s *Set) build(ctx context.Context, config *Configuration) (*generation, error) {
	ctx, cancel := context.WithCancel(ctx)
	g := &generation{end: cancel}
	for i := range config.JWT {
		made, err := newIssuer(ctx, &config.JWT[i], s.algorithms, s.disallowed)
		if err != nil {
			cancel()
			return nil, err
		}
		g.issuers = append(g.issuers, made)
	}
	return g, nil
}

// Token is authn.Tokens.
func (s *Set) Token(ctx context.Context, token string, audiences []string) (*authn.Identity, error) {
	var errs []error
	for _, one := range s.current.Load().issuers {
		identity, err := one.Token(ctx, token, audiences)
		if identity != nil {
			return identity, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// Ready says which providers' keys are not known yet.
func (s *Set) Ready() error {
	var errs []error
	for _, one := range s.current.Load().issuers {
		if one.verifier.Load() == nil {
			errs = append(errs, fmt.Errorf("the keys of %s are not known yet", one.url))
		}
	}
	return errors.Join(errs...)
}

// patience is how long a new configuration's providers may take until the old one stays.
const patience = time.Minute

// Replace puts another configuration into use, once all its providers are reached. On an error everything stays as it was.
func (s *Set) Replace(ctx context.Context, config *Configuration) error {
	if !reflect.DeepEqual(config.Anonymous, s.anonymous) {
		return field.Forbidden(field.NewPath("anonymous"), "changed from initial configuration file")
	}
	next, err := s.build(ctx, config)
	if err != nil {
		return err
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for _, one := range next.issuers {
		select {
		case <-one.ready:
		case <-limit.C:
			next.end()
			return errNotReady
		case <-ctx.Done():
			next.end()
			return ctx.Err()
		}
	}
	s.current.Swap(next).end()
	return nil
}

// Watch replaces the configuration whenever its file changes from the given content, until ctx ends.
func (s *Set) Watch(ctx context.Context, file string, content []byte) {
	err := daemon.WatchFile(ctx, file, content, func(content []byte) {
		config, err := Parse(content, s.disallowed)
		if err == nil {
			err = s.Replace(ctx, config)
		}
		reloaded(err)
		if err != nil {
			klog.ErrorS(err, "The authentication configuration stays as it was", "file", file)
			return
		}
		klog.InfoS("The authentication configuration has changed", "file", file)
	})
	if err != nil {
		klog.ErrorS(err, "Changes of the authentication configuration are not noticed", "file", file)
	}
}
