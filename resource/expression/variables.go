package expression

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/lazy"
)

// composed is a named expression, which others use as variables.<name>.
type composed struct {
	name string
	*Program
}

// Compose compiles a variable; expressions that are compiled later may use it. One that does not compile has any type.
func (c *Compiler) Compose(name, text string, s Scope) *Program {
	if c.variables == nil {
		c.variables = apiservercel.NewObjectType("kubernetes.variables", map[string]*apiservercel.DeclField{})
		c.own = map[Scope]*environment.EnvSet{}
	}
	p := c.Compile(text, s, Any)
	c.variables.Fields[name] = must(name, declared(p.Type))
	c.composed = append(c.composed, composed{name, p})
	return p
}

// simple are the types that look the same to CEL and to the declarations of the API.
var simple = map[*cel.Type]*apiservercel.DeclType{
	cel.AnyType: apiservercel.AnyType, cel.BoolType: apiservercel.BoolType, cel.BytesType: apiservercel.BytesType,
	cel.DoubleType: apiservercel.DoubleType, cel.DurationType: apiservercel.DurationType, cel.IntType: apiservercel.IntType,
	cel.NullType: apiservercel.NullType, cel.StringType: apiservercel.StringType, cel.TimestampType: apiservercel.TimestampType,
	cel.UintType: apiservercel.UintType,
}

// declared is the declaration of a type that an expression has.
func declared(t *cel.Type) *apiservercel.DeclType {
	if t == nil {
		return apiservercel.DynType
	}
	if found := simple[t]; found != nil {
		return found
	}
	if t.HasTrait(traits.ContainerType) && t.HasTrait(traits.IndexerType) {
		switch of := t.Parameters(); len(of) {
		case 1:
			return apiservercel.NewListType(declared(of[0]), -1)
		case 2:
			return apiservercel.NewMapType(declared(of[0]), declared(of[1]), -1)
		}
	}
	return apiservercel.DynType
}

// lazily makes the value of "variables": each is computed when it is first used, at the cost of who used it, and kept.
func (r *Run) lazily() ref.Val {
	values := lazy.NewMapValue(r.compiler.variables)
	for _, v := range r.compiler.composed {
		values.Append(v.name, func(*lazy.MapValue) ref.Val { return r.variable(v) })
	}
	return values
}

func (r *Run) variable(v composed) ref.Val {
	if v.Err != nil {
		return types.NewErr("composited variable %q fails to compile: %v", v.name, v.Err)
	}
	value, details, err := v.program.ContextEval(r.ctx, r)
	if details == nil {
		return types.NewErr("unable to get evaluation details of variable %q", v.name)
	}
	cost := details.ActualCost()
	if cost == nil {
		return types.NewErr("unable to calculate cost of variable %q", v.name)
	}
	r.lent += bounded(*cost)
	if err != nil {
		return types.NewErr("composited variable %q fails to evaluate: %v", v.name, err)
	}
	return value
}
