package oidc

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/septet-io/septet/resource"
)

// expression is a compiled CEL expression.
type expression struct {
	text, message string
	key           string // of extra
	program       cel.Program
	ast           *ast.AST
}

// environments are where expressions on claims and on users are compiled; made for the first of them.
var environments = sync.OnceValues(func() (map[string]*cel.Env, error) {
	text, list := apiservercel.StringType, apiservercel.NewListType(apiservercel.StringType, -1)
	fields := map[string]*apiservercel.DeclField{}
	for name, kind := range map[string]*apiservercel.DeclType{
		"username": text, "uid": text, "groups": list, "extra": apiservercel.NewMapType(text, list, -1),
	} {
		fields[name] = apiservercel.NewDeclField(name, kind, false, nil, nil)
	}
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	made := map[string]*cel.Env{}
	for variable, kind := range map[string]*apiservercel.DeclType{
		"claims": apiservercel.NewMapType(text, apiservercel.AnyType, -1), "user": apiservercel.NewObjectType("kubernetes.UserInfo", fields),
	} {
		set, err := base.Extend(environment.VersionedOptions{
			IntroducedVersion: version.MajorMinor(1, 0),
			EnvOptions:        []cel.EnvOption{cel.Variable(variable, kind.CelType())}, DeclTypes: []*apiservercel.DeclType{kind},
		})
		if err != nil {
			return nil, err
		}
		made[variable] = set.StoredExpressionsEnv()
	}
	return made, nil
})

// compile compiles an expression on the variable; the result must be of the kind, any if that is nil.
func compile(text, variable string, kind *cel.Type, path *field.Path) (*expression, *field.Error) {
	envs, err := environments()
	if err != nil {
		return nil, field.InternalError(path, err)
	}
	compiled, issues := envs[variable].Compile(text)
	if issues != nil {
		return nil, field.Invalid(path, text, "compilation failed: "+issues.String())
	}
	if kind != nil && compiled.OutputType() != kind {
		return nil, field.Invalid(path, text, fmt.Sprintf("must evaluate to %s", kind))
	}
	program, err := envs[variable].Program(compiled)
	if err != nil {
		return nil, field.InternalError(path, err)
	}
	return &expression{text: text, program: program, ast: compiled.NativeRep()}, nil
}

// uses says whether an expression looks at a claim, by claims.name or claims[?"name"].
func (e *expression) uses(claim string) bool {
	isClaims := func(x ast.Expr) bool { return x.Kind() == ast.IdentKind && x.AsIdent() == "claims" }
	found := ast.MatchDescendants(ast.NavigateAST(e.ast), func(x ast.NavigableExpr) bool {
		switch x.Kind() {
		case ast.SelectKind:
			return x.AsSelect().FieldName() == claim && isClaims(x.AsSelect().Operand())
		case ast.CallKind:
			args := x.AsCall().Args()
			return x.AsCall().FunctionName() == operators.OptSelect && len(args) == 2 && isClaims(args[0]) &&
				args[1].Kind() == ast.LiteralKind && args[1].AsLiteral().Value() == claim
		}
		return false
	})
	return len(found) > 0
}

// eval evaluates an expression on its variable.
func (e *expression) eval(variable string, value any) (ref.Val, error) {
	result, _, err := e.program.Eval(map[string]any{variable: value})
	if err != nil {
		return nil, fmt.Errorf("expression '%s' resulted in error: %w", e.text, err)
	}
	return result, nil
}

// holds is an error unless every rule is true.
func holds(rules []*expression, variable string, value any) error {
	for _, rule := range rules {
		result, err := rule.eval(variable, value)
		if err != nil {
			return err
		}
		if result != types.True {
			message := rule.message
			if message == "" {
				message = fmt.Sprintf("expression '%s' failed", rule.text)
			}
			return fmt.Errorf("validation expression '%s' failed: %s", rule.text, message)
		}
	}
	return nil
}

var errNoStrings = errors.New("expression must return a string or a list of strings")

// stringsOf reads a string or a list of strings; empty ones and null are nothing.
func stringsOf(value ref.Val) ([]string, error) {
	var found []string
	switch v := value.Value().(type) {
	case string:
		found = []string{v}
	case []string:
		found = v
	case []any:
		for _, element := range v {
			text, ok := element.(string)
			if !ok {
				return nil, errNoStrings
			}
			found = append(found, text)
		}
	case []ref.Val:
		for _, element := range v {
			text, ok := element.Value().(string)
			if !ok {
				return nil, errNoStrings
			}
			found = append(found, text)
		}
	default:
		if value.Type() == types.NullType {
			return nil, nil
		}
		return nil, errNoStrings
	}
	kept := make([]string, 0, len(found))
	for _, text := range found {
		if text != "" {
			kept = append(kept, text)
		}
	}
	return kept, nil
}

// userValue is a user as expressions see it.
func userValue(user *resource.User) map[string]any {
	return map[string]any{"username": user.Name, "uid": user.UID, "groups": user.Groups, "extra": user.Extra}
}
