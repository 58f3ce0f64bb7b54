package expression

import (
	"context"
	"testing"
)

// FuzzExpressions: whatever is written as an expression compiles or does not, and what runs ends within its budget.
func FuzzExpressions(f *testing.F) {
	for _, text := range []string{
		"object.a == 1", "has(object.b) && object.b.all(x, x < 3)", "variables.v", "request.userInfo.groups.exists(g, g == 'x')",
		"Object{spec: Object.spec{replicas: 1}}", "[JSONPatch{op: 'add', path: '/a', value: 1}]", "'a' + 1", "((((", "\x00",
	} {
		f.Add(text)
	}
	input := &Input{Object: map[string]any{"a": int64(1), "b": []any{int64(1), int64(2)}}, Request: map[string]any{}}
	f.Fuzz(func(t *testing.T, text string) {
		c := NewCompiler(New)
		scope := Scope{Params: true, Patch: true}
		c.Compose("v", "object.a", scope)
		program := c.Compile(text, scope, Any)
		budget := int64(Budget)
		value, err, over := c.Run(context.Background(), input).Eval(program, &budget)
		if (program.Err != nil || err != nil || over != nil) && value != nil {
			t.Errorf("%q: a value %v together with an error: %v, %v, %v", text, value, program.Err, err, over)
		}
		if over == nil && budget < 0 {
			t.Errorf("%q cost more than its budget", text)
		}
	})
}
