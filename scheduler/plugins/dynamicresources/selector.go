package dynamicresources

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/blang/semver/v4"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

const (
	// costLimit bounds one evaluation, as the API's validation of expressions does.
	costLimit = 1000000
	// maxCompiled bounds how many expressions are kept compiled.
	maxCompiled = 1024
)

// expressions compiles and keeps CEL selectors. Nothing of CEL is built before the first is used.
type expressions struct {
	mu       sync.Mutex
	env      *cel.Env
	programs map[string]compiled
}

type compiled struct {
	program cel.Program
	err     error
}

func (x *expressions) compile(expression string) (cel.Program, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c, ok := x.programs[expression]; ok {
		return c.program, c.err
	}
	if x.env == nil {
		env, err := newEnv()
		if err != nil {
			return nil, err
		}
		x.env = env
	}
	if len(x.programs) >= maxCompiled || x.programs == nil {
		x.programs = map[string]compiled{}
	}
	c := compiled{}
	ast, issues := x.env.Compile(expression)
	switch {
	case issues.Err() != nil:
		c.err = fmt.Errorf("CEL expression %q: %w", expression, issues.Err())
	default:
		c.program, c.err = x.env.Program(ast, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(100))
	}
	x.programs[expression] = c
	return c.program, c.err
}

func newEnv() (*cel.Env, error) {
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 31),
		EnvOptions:        []cel.EnvOption{ext.Bindings(ext.BindingsVersion(0)), cel.Variable("device", cel.DynType)},
	})
	if err != nil {
		return nil, err
	}
	return set.StoredExpressionsEnv(), nil
}

// matches evaluates an expression for a device.
func (x *expressions) matches(ctx context.Context, expression string, d *device) (bool, error) {
	program, err := x.compile(expression)
	if err != nil {
		return false, err
	}
	out, _, err := program.ContextEval(ctx, map[string]any{"device": d.celValue()})
	if err != nil {
		return false, fmt.Errorf("CEL expression %q on device %s: %w", expression, d.id, err)
	}
	matched, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("CEL expression %q is no condition", expression)
	}
	return matched, nil
}

// celValue is the device as expressions see it: attributes and capacity by domain, then name. It is made once.
func (d *device) celValue() map[string]any {
	if d.cel == nil {
		attributes, capacity := map[string]any{}, map[string]any{}
		for name, a := range d.spec.Attributes {
			inDomain(attributes, string(name), d.id.driver)[local(string(name))] = attributeValue(&a)
		}
		for name, c := range d.spec.Capacity {
			q := c.Value
			inDomain(capacity, string(name), d.id.driver)[local(string(name))] = apiservercel.Quantity{Quantity: &q}
		}
		multiple := d.spec.AllowMultipleAllocations != nil && *d.spec.AllowMultipleAllocations
		d.cel = map[string]any{"driver": d.id.driver, "attributes": domains(attributes), "capacity": domains(capacity), "allowMultipleAllocations": multiple}
	}
	return d.cel
}

func inDomain(all map[string]any, name, driver string) map[string]any {
	domain, _, ok := strings.Cut(name, "/")
	if !ok {
		domain = driver
	}
	in, ok := all[domain].(map[string]any)
	if !ok {
		in = map[string]any{}
		all[domain] = in
	}
	return in
}

func local(name string) string {
	if _, id, ok := strings.Cut(name, "/"); ok {
		return id
	}
	return name
}

func attributeValue(a *resourcev1.DeviceAttribute) any {
	switch {
	case a.BoolValue != nil:
		return *a.BoolValue
	case a.IntValue != nil:
		return *a.IntValue
	case a.StringValue != nil:
		return *a.StringValue
	case a.VersionValue != nil:
		return semverValue(*a.VersionValue)
	case a.IntValues != nil:
		return a.IntValues
	case a.BoolValues != nil:
		return a.BoolValues
	case a.StringValues != nil:
		return a.StringValues
	}
	versions := make([]any, len(a.VersionValues))
	for i, v := range a.VersionValues {
		versions[i] = semverValue(v)
	}
	return versions
}

func semverValue(text string) any {
	v, err := semver.Parse(text)
	if err != nil {
		return text // the API accepts no others
	}
	return apiservercel.Semver{Version: v}
}

// domains is a map of maps in which an unknown domain is empty rather than an error.
func domains(all map[string]any) ref.Val {
	return emptyByDefault{types.DefaultTypeAdapter.NativeToValue(all).(traits.Mapper)}
}

type emptyByDefault struct{ traits.Mapper }

var empty = types.DefaultTypeAdapter.NativeToValue(map[string]any{})

// Find implements traits.Mapper.
func (m emptyByDefault) Find(key ref.Val) (ref.Val, bool) {
	if value, ok := m.Mapper.Find(key); ok {
		return value, true
	}
	return empty, true
}

// Get implements traits.Indexer.
func (m emptyByDefault) Get(key ref.Val) ref.Val {
	value, _ := m.Find(key)
	return value
}
