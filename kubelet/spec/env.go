package spec

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Objects reads the ConfigMaps and Secrets that pods refer to. What it returns
// is shared and must not be changed.
type Objects interface {
	ConfigMap(ctx context.Context, namespace, name string) (*v1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*v1.Secret, error)
}

// Env is a container's environment, in the order in which its variables were
// first set.
type Env struct {
	names  []string
	values map[string]string
	// service holds the service variables, which lose to all others and can be
	// referred to.
	service map[string]string
	// Skipped names the keys of each envFrom source that cannot be variable names.
	Skipped []string
}

func (e *Env) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// Set adds a variable, or replaces it.
func (e *Env) Set(name, value string) { e.set(name, value) }

// Lookup returns the value of a variable, for expansion.
func (e *Env) Lookup(name string) (string, bool) {
	if v, ok := e.values[name]; ok {
		return v, true
	}
	v, ok := e.service[name]
	return v, ok
}

// List returns the variables as the runtime takes them, service variables last.
func (e *Env) List() []*runtimeapi.KeyValue {
	list := make([]*runtimeapi.KeyValue, 0, len(e.names)+len(e.service))
	for _, name := range e.names {
		list = append(list, &runtimeapi.KeyValue{Key: name, Value: []byte(e.values[name])})
	}
	var rest []string
	for name := range e.service {
		if _, set := e.values[name]; !set {
			rest = append(rest, name)
		}
	}
	sort.Strings(rest)
	for _, name := range rest {
		list = append(list, &runtimeapi.KeyValue{Key: name, Value: []byte(e.service[name])})
	}
	return list
}

// EnvInput is what an environment is made from besides the pod.
type EnvInput struct {
	Node     *Node
	Objects  Objects
	Services map[string]string
	PodIPs   []string
	Volumes  map[string]Volume
}

// MakeEnv resolves the environment of a container: envFrom in order, then env,
// each value expanded with what was set before it. An error says what could not
// be resolved; it becomes the CreateContainerConfigError of the container.
func MakeEnv(ctx context.Context, pod *v1.Pod, c *v1.Container, in EnvInput) (*Env, error) {
	env := &Env{values: make(map[string]string, len(c.Env)), service: in.Services}
	for i := range c.EnvFrom {
		if err := env.from(ctx, pod, &c.EnvFrom[i], in.Objects); err != nil {
			return nil, err
		}
	}
	for i := range c.Env {
		v := &c.Env[i]
		if v.Value != "" || v.ValueFrom == nil {
			env.set(v.Name, Expand(v.Value, env.Lookup))
			continue
		}
		value, set, err := resolve(ctx, pod, c, v.ValueFrom, in)
		if err != nil {
			return nil, err
		}
		if set {
			env.set(v.Name, value)
		}
	}
	return env, nil
}

func (e *Env) from(ctx context.Context, pod *v1.Pod, source *v1.EnvFromSource, objects Objects) error {
	data := map[string]string{}
	var what string
	switch {
	case source.ConfigMapRef != nil:
		ref := source.ConfigMapRef
		cm, err := objects.ConfigMap(ctx, pod.Namespace, ref.Name)
		if err != nil {
			return unlessOptional(err, ref.Optional)
		}
		data, what = cm.Data, fmt.Sprintf("ConfigMap %s/%s", pod.Namespace, ref.Name)
	case source.SecretRef != nil:
		ref := source.SecretRef
		secret, err := objects.Secret(ctx, pod.Namespace, ref.Name)
		if err != nil {
			return unlessOptional(err, ref.Optional)
		}
		for k, v := range secret.Data {
			data[k] = string(v)
		}
		what = fmt.Sprintf("Secret %s/%s", pod.Namespace, ref.Name)
	}
	keys := make([]string, 0, len(data))
	for k := range data {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var invalid []string
	for _, k := range keys {
		if name := source.Prefix + k; validName(name) {
			e.set(name, data[k])
		} else {
			invalid = append(invalid, name)
		}
	}
	if len(invalid) > 0 {
		e.Skipped = append(e.Skipped, fmt.Sprintf("Keys [%s] from the EnvFrom %s were skipped since they are considered invalid environment variable names.",
			strings.Join(invalid, ", "), what))
	}
	return nil
}

// validName says whether name can be a variable's: printable ASCII without "=".
func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		if name[i] < ' ' || name[i] > '~' || name[i] == '=' {
			return false
		}
	}
	return name != ""
}

func unlessOptional(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

// resolve returns the value of a valueFrom, and whether there is one.
func resolve(ctx context.Context, pod *v1.Pod, c *v1.Container, from *v1.EnvVarSource, in EnvInput) (string, bool, error) {
	switch {
	case from.FieldRef != nil:
		value, err := FieldValue(pod, from.FieldRef.FieldPath, in.PodIPs, in.Node)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err := ResourceValue(pod, from.ResourceFieldRef, c.Name, in.Node.Allocatable())
		return value, true, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		cm, err := in.Objects.ConfigMap(ctx, pod.Namespace, ref.Name)
		if err != nil {
			return "", false, unlessOptional(err, ref.Optional)
		}
		value, ok := cm.Data[ref.Key]
		if !ok && !optional(ref.Optional) {
			return "", false, fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, pod.Namespace, ref.Name)
		}
		return value, ok, nil
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		secret, err := in.Objects.Secret(ctx, pod.Namespace, ref.Name)
		if err != nil {
			return "", false, unlessOptional(err, ref.Optional)
		}
		value, ok := secret.Data[ref.Key]
		if !ok && !optional(ref.Optional) {
			return "", false, fmt.Errorf("couldn't find key %v in Secret %v/%v", ref.Key, pod.Namespace, ref.Name)
		}
		return string(value), ok, nil
	case from.FileKeyRef != nil:
		return fromFile(from.FileKeyRef, in.Volumes)
	}
	return "", true, nil
}

func optional(o *bool) bool { return o != nil && *o }

// fromFile reads a variable from a file in a volume (KEP-3721).
func fromFile(ref *v1.FileKeySelector, volumes map[string]Volume) (string, bool, error) {
	volume, ok := volumes[ref.VolumeName]
	if !ok || volume.HostPath == "" {
		return "", false, fmt.Errorf("cannot find the volume %q referenced by FileKeyRef", ref.VolumeName)
	}
	// A root confines the path to the volume, whatever links a container has put there.
	root, err := os.OpenRoot(volume.HostPath)
	if err != nil {
		return "", false, fmt.Errorf("volume %q of FileKeyRef: %w", ref.VolumeName, err)
	}
	defer root.Close()
	raw, err := root.ReadFile(filepath.Clean(ref.Path))
	if err != nil {
		if os.IsNotExist(err) && optional(ref.Optional) {
			return "", false, nil
		}
		return "", false, fmt.Errorf("couldn't read file %q of volume %q: %w", ref.Path, ref.VolumeName, err)
	}
	vars, err := ParseEnvFile(string(raw))
	if err != nil {
		return "", false, fmt.Errorf("couldn't parse env file %q: %w", ref.Path, err)
	}
	value, ok := vars[ref.Key]
	if !ok && !optional(ref.Optional) {
		return "", false, fmt.Errorf("environment variable key %q not found in file %q", ref.Key, ref.Path)
	}
	return value, ok, nil
}
