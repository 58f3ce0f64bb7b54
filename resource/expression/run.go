package expression

import (
	"context"
	"fmt"
	"math"

	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// Input is what expressions look at. Objects are in the form of unstructured content and must not change while expressions run;
// nil is null.
type Input struct {
	Object, OldObject, Params, Namespace any
	Request                              map[string]any
	// Authorizer and RequestResource are library.NewAuthorizerVal and NewResourceAuthorizerVal; nil: expressions that use them fail.
	Authorizer, RequestResource ref.Val
}

// Run is the evaluation of one policy for one request. It must not be used by several at once.
type Run struct {
	ctx       context.Context
	compiler  *Compiler
	input     *Input
	variables ref.Val // nil until used
	lent      int64   // cost of variables that were computed for the running expression
	quiet     bool    // the authorizer is hidden
}

// Run begins an evaluation. Expressions end early when ctx does.
func (c *Compiler) Run(ctx context.Context, input *Input) *Run {
	return &Run{ctx: ctx, compiler: c, input: input}
}

// Quietly runs f while expressions may not ask the authorizer: those of messages may not.
func (r *Run) Quietly(f func()) {
	r.quiet = true
	f()
	r.quiet = false
}

// ResolveName is interpreter.Activation.
func (r *Run) ResolveName(name string) (any, bool) {
	in := r.input
	switch name {
	case "object":
		return in.Object, true
	case "oldObject":
		return in.OldObject, true
	case "params":
		return in.Params, true
	case "request":
		return in.Request, true
	case "namespaceObject":
		return in.Namespace, true
	case "authorizer":
		return in.Authorizer, in.Authorizer != nil && !r.quiet
	case "authorizer.requestResource":
		return in.RequestResource, in.RequestResource != nil && !r.quiet
	case "variables":
		if r.compiler.variables == nil {
			return nil, false
		}
		if r.variables == nil {
			r.variables = r.lazily()
		}
		return r.variables, true
	}
	return nil, false
}

// Parent is interpreter.Activation.
func (r *Run) Parent() interpreter.Activation { return nil }

// errBudget ends an evaluation that costs too much.
func errBudget() error {
	return &apiservercel.Error{
		Type: apiservercel.ErrorTypeInvalid, Cause: apiservercel.ErrOutOfBudget,
		Detail: "validation failed due to running out of cost budget, no further validation rules will be run",
	}
}

// Eval computes an expression and takes its cost from the budget. err is about this expression alone; over, when not nil, ends all
// of the evaluation: nothing more may run.
func (r *Run) Eval(p *Program, budget *int64) (value ref.Val, err, over error) {
	if p.Err != nil {
		return nil, &apiservercel.Error{Type: apiservercel.ErrorTypeInvalid, Detail: fmt.Sprintf("compilation error: %v", p.Err), Cause: p.Err}, nil
	}
	r.lent = 0
	value, details, err := p.program.ContextEval(r.ctx, r)
	if *budget -= r.lent; *budget < 0 {
		return nil, nil, errBudget()
	}
	if details == nil || details.ActualCost() == nil {
		return nil, nil, &apiservercel.Error{
			Type:   apiservercel.ErrorTypeInternal,
			Detail: fmt.Sprintf("runtime cost could not be calculated for expression: %v, no further expression will be run", p.Text),
		}
	}
	if *budget -= bounded(*details.ActualCost()); *budget < 0 {
		return nil, nil, errBudget()
	}
	if err != nil {
		return nil, &apiservercel.Error{Type: apiservercel.ErrorTypeInvalid, Detail: fmt.Sprintf("expression '%v' resulted in error: %v", p.Text, err)}, nil
	}
	return value, nil, nil
}

// bounded is a cost as a signed number that can be subtracted from any budget.
func bounded(cost uint64) int64 { return int64(min(cost, math.MaxInt64/4)) }
