package encrypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/daemon"
)

// Set has the transformers of a configuration, which may be read again while it is in use.
type Set struct {
	file       string
	content    atomic.Pointer[[]byte] // of the file, as it was read last
	generation atomic.Uint32
	entries    atomic.Pointer[[]entry]
}

type entry struct {
	resources []string
	providers union
}

// Open reads a file. Plug-ins are asked for the first time when they are needed.
func Open(file string) (*Set, error) {
	s := &Set{file: file}
	return s, s.Reload()
}

// Reload reads the file again. If it is wrong everything stays as it was.
func (s *Set) Reload() error {
	content, err := os.ReadFile(s.file)
	if err != nil {
		return fmt.Errorf("encryption configuration: %w", err)
	}
	config, err := Parse(content)
	if err != nil {
		return fmt.Errorf("encryption configuration %s: %w", s.file, err)
	}
	entries, err := config.build(func() { s.generation.Add(1) })
	if err != nil {
		return fmt.Errorf("encryption configuration %s: %w", s.file, err)
	}
	s.content.Store(&content)
	old := s.entries.Swap(&entries)
	s.generation.Add(1)
	if old != nil {
		closeAll(*old)
	}
	return nil
}

// Watch reloads whenever the file's content changes, until ctx ends.
func (s *Set) Watch(ctx context.Context) error {
	return daemon.WatchFile(ctx, s.file, *s.content.Load(), func([]byte) {
		if err := s.Reload(); err != nil {
			klog.ErrorS(err, "The encryption configuration stays as it was")
		}
	})
}

// build makes the providers; renewed is called when a plug-in begins to use another key.
func (c *Configuration) build(renewed func()) (entries []entry, err error) {
	for _, r := range c.Resources {
		e := entry{resources: r.Resources}
		for _, p := range r.Providers {
			provider, err := p.build(renewed)
			if err != nil {
				return nil, err
			}
			e.providers = append(e.providers, provider)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (p ProviderConfiguration) build(renewed func()) (provider, error) {
	switch {
	case p.AESGCM != nil:
		return p.AESGCM.build("k8s:enc:aesgcm:v1:", newGCM)
	case p.AESCBC != nil:
		return p.AESCBC.build("k8s:enc:aescbc:v1:", newCBC)
	case p.Secretbox != nil:
		return p.Secretbox.build("k8s:enc:secretbox:v1:", newSecretbox)
	case p.KMS != nil:
		return newKMS(p.KMS, renewed)
	}
	return identity{}, nil
}

// Transformer is the store.Transformer of one resource.
type Transformer struct {
	set      *Set
	resource string
}

// For returns the transformer of a resource. What the configuration does not name stays plain.
func (s *Set) For(resource schema.GroupResource) *Transformer {
	name := resource.Resource
	if resource.Group != "" {
		name += "." + resource.Group
	} else {
		name += "."
	}
	return &Transformer{s, name}
}

// Generation changes with each reload: what was written before may want to be written again.
func (t *Transformer) Generation() uint32 { return t.set.generation.Load() }

func (t *Transformer) providers() union {
	for _, e := range *t.set.entries.Load() {
		for _, pattern := range e.resources {
			if covers(withDot(pattern), t.resource) {
				return e.providers
			}
		}
	}
	return plain
}

// withDot writes names of the core group as "pods.", like "*.".
func withDot(resource string) string {
	if strings.Contains(resource, ".") {
		return resource
	}
	return resource + "."
}

// ToStorage encrypts with the first provider.
func (t *Transformer) ToStorage(ctx context.Context, key string, data []byte) ([]byte, error) {
	return t.providers()[0].seal(ctx, []byte(key), data)
}

// FromStorage decrypts with the provider whose prefix the data has; stale if that is not what ToStorage would use now.
func (t *Transformer) FromStorage(ctx context.Context, key string, data []byte) ([]byte, bool, error) {
	for i, p := range t.providers() {
		if !p.reads(data) {
			continue
		}
		out, stale, err := p.open(ctx, []byte(key), data)
		return out, stale || i > 0, err
	}
	return nil, false, errNoProvider
}

var errNoProvider = errors.New("no provider of the encryption configuration reads this data")

// Health asks the plug-ins whether they can be used, as a check for /readyz.
func (s *Set) Health(ctx context.Context) error {
	var errs []error
	for _, e := range *s.entries.Load() {
		for _, p := range e.providers {
			if plugin, ok := p.(*kms); ok {
				errs = append(errs, plugin.health(ctx))
			}
		}
	}
	return errors.Join(errs...)
}

// provider is one way to encrypt.
type provider interface {
	reads(data []byte) bool
	seal(ctx context.Context, authenticated, data []byte) ([]byte, error)
	open(ctx context.Context, authenticated, data []byte) (out []byte, stale bool, err error)
}

type union []provider

var plain = union{identity{}}

func closeAll(entries []entry) {
	for _, e := range entries {
		for _, p := range e.providers {
			if plugin, ok := p.(*kms); ok {
				plugin.close()
			}
		}
	}
}

// identity leaves data as it is. It refuses to take for plain what some provider has encrypted.
type identity struct{}

var encryptedPrefix = []byte("k8s:enc:")

func (identity) reads(data []byte) bool { return !bytes.HasPrefix(data, encryptedPrefix) }

func (identity) seal(_ context.Context, _, data []byte) ([]byte, error) { return data, nil }

func (identity) open(_ context.Context, _, data []byte) ([]byte, bool, error) {
	return data, false, nil
}
