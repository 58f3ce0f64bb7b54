package expression

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// The costs that expressions may have while they run, in CEL's units: about ten million a second.
const (
	// CallLimit bounds one expression. It is held by the environment.
	CallLimit = 1_000_000
	// Budget bounds all expressions of a policy with one binding and one parameter.
	Budget = 10_000_000
	// ConditionBudget bounds the match conditions of one webhook or policy.
	ConditionBudget = 2_500_000
)

// checkEvery is after how many steps of a loop an expression looks whether its request has ended.
const checkEvery = 100

// Types that an expression may have to have.
var (
	Bool    = []*cel.Type{cel.BoolType}
	Text    = []*cel.Type{cel.StringType}
	TextOr0 = []*cel.Type{cel.StringType, cel.NullType}
	Apply   = []*cel.Type{types.NewObjectType("Object")}
	Patches = []*cel.Type{cel.ListType(types.NewObjectType("JSONPatch"))}
	Any     = []*cel.Type{cel.AnyType, cel.DynType}
)

// Program is a compiled expression. It may run many times at once.
type Program struct {
	Text string
	// Err is why it cannot run, nil if it can. Its text begins with "compilation failed: " where the language is violated.
	Err *apiservercel.Error
	// Type of its value; nil if it did not compile.
	Type    *cel.Type
	program cel.Program
}

// Compiler compiles the expressions of one policy or webhook, which may use the variables that were composed before.
// It must not be used by several at once; what it made may.
type Compiler struct {
	// Mode of the expressions that are compiled next.
	Mode      Mode
	base      func(Scope) (*environment.EnvSet, error)
	own       map[Scope]*environment.EnvSet // with the type of "variables", once there are some
	variables *apiservercel.DeclType
	composed  []composed
}

// NewCompiler returns a compiler for expressions of objects whose type is not known.
func NewCompiler(mode Mode) *Compiler { return &Compiler{Mode: mode, base: environmentOf} }

// NewTypedCompiler returns a compiler that checks expressions against the types of objects and parameters; nil is any.
func NewTypedCompiler(mode Mode, object, params *apiservercel.DeclType) *Compiler {
	return &Compiler{Mode: mode, base: typedEnvironment(object, params)}
}

// env returns the environment in which expressions of a scope are compiled.
func (c *Compiler) env(s Scope) (*cel.Env, error) {
	set, err := c.base(s)
	if err != nil {
		return nil, err
	}
	if c.variables != nil {
		if set, err = c.compose(s, set); err != nil {
			return nil, err
		}
	}
	return set.Env(c.Mode)
}

// compose adds the type of "variables". It grows with each of them, so that later expressions may use those before.
func (c *Compiler) compose(s Scope, set *environment.EnvSet) (*environment.EnvSet, error) {
	if own := c.own[s]; own != nil {
		return own, nil
	}
	own, err := set.Extend(environment.VersionedOptions{
		IntroducedVersion: first,
		EnvOptions:        []cel.EnvOption{cel.Variable("variables", c.variables.CelType())},
		DeclTypes:         []*apiservercel.DeclType{c.variables},
	})
	if err == nil {
		c.own[s] = own
	}
	return own, err
}

func failed(text string, kind apiservercel.ErrorType, detail string, cause error) *Program {
	return &Program{Text: text, Err: &apiservercel.Error{Type: kind, Detail: detail, Cause: cause}}
}

// Compile never returns nil: an expression that cannot run says so when it is asked to.
func (c *Compiler) Compile(text string, s Scope, wanted []*cel.Type) *Program {
	env, err := c.env(s)
	if err != nil {
		return failed(text, apiservercel.ErrorTypeInternal, fmt.Sprintf("unexpected error loading CEL environment: %v", err), nil)
	}
	ast, issues := env.Compile(text)
	if issues != nil {
		return failed(text, apiservercel.ErrorTypeInvalid, "compilation failed: "+issues.String(), apiservercel.NewCompilationError(issues))
	}
	if !hasType(ast.OutputType(), wanted) {
		return failed(text, apiservercel.ErrorTypeInvalid, wrongType(ast.OutputType(), wanted), nil)
	}
	program, err := env.Program(ast, cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return failed(text, apiservercel.ErrorTypeInternal, "program instantiation failed: "+err.Error(), nil)
	}
	return &Program{Text: text, Type: ast.OutputType(), program: program}
}

func hasType(got *cel.Type, wanted []*cel.Type) bool {
	for _, t := range wanted {
		if got.IsExactType(t) || cel.AnyType.IsExactType(t) {
			return true
		}
	}
	return false
}

func wrongType(got *cel.Type, wanted []*cel.Type) string {
	if len(wanted) == 1 {
		return fmt.Sprintf("must evaluate to %v but got %v", wanted[0].String(), got.String())
	}
	return fmt.Sprintf("must evaluate to one of %v but got %v", wanted, got.String())
}
