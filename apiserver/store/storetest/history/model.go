// Package history judges what concurrent clients of a store of ConfigMaps saw: operations must be linearizable, and watches and lists
// must show just what happened.
package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/septet-io/septet/apiserver/store"
)

// Input is what a client asked for.
type Input struct {
	// Verb is get, create, update or delete.
	Verb string
	Key  store.Key
	// Value is what a write writes; no two are equal.
	Value string
	// Precondition is a resourceVersion; empty: none.
	Precondition string
}

// Output is an object, or one of the definite refusals, or unknown.
type Output struct {
	Revision                   int64
	Value                      string
	NotFound, Exists, Conflict bool
	// Gone is a deletion that does not say of what.
	Gone bool
	// Unknown is an answer that never came: what was asked for may happen at any time from then on.
	Unknown bool
	Err     error
}

// register is the state of one key; revision 0: it does not exist.
type register struct {
	revision int64
	value    string
}

// Model is a register with optimistic concurrency. Keys are independent.
var Model = porcupine.NondeterministicModel{
	Partition: func(operations []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[store.Key][]porcupine.Operation{}
		for _, op := range operations {
			key := op.Input.(Input).Key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{register{}} },
	Step: func(state, in, out any) []any { return step(state.(register), in.(Input), out.(Output)) },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v -> %+v", in, out)
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
}

// unseen is the revision of a state that an unanswered write made: whatever is read next tells it.
const unseen = int64(-1)

// step returns the states that may follow; none if the output is impossible.
func step(s register, in Input, out Output) []any {
	there := s.revision != 0
	same := func(ok bool) []any {
		if ok {
			return []any{s}
		}
		return nil
	}
	mayWrite := there && (in.Precondition == "" || s.revision == unseen || in.Precondition == fmt.Sprint(s.revision))
	switch {
	case in.Verb == "get" && out.NotFound, (in.Verb == "update" || in.Verb == "delete") && out.NotFound:
		return same(!there)
	case in.Verb == "get":
		if s.revision == unseen && s.value == out.Value {
			return []any{register{out.Revision, out.Value}}
		}
		return same(there && s.revision == out.Revision && s.value == out.Value)
	case out.Exists:
		return same(there)
	case out.Conflict:
		return same(there && in.Precondition != fmt.Sprint(s.revision))
	case in.Verb == "create" && out.Unknown:
		if there {
			return []any{s}
		}
		return []any{s, register{unseen, in.Value}}
	case in.Verb == "update" && out.Unknown:
		if mayWrite {
			return []any{s, register{unseen, in.Value}}
		}
		return []any{s}
	case in.Verb == "delete" && out.Unknown:
		if mayWrite {
			return []any{s, register{}}
		}
		return []any{s}
	case out.Gone:
		if mayWrite {
			return []any{register{}}
		}
		return nil
	case in.Verb == "create" && !there:
		return []any{register{out.Revision, out.Value}}
	case in.Verb == "update" && mayWrite && out.Revision > s.revision:
		return []any{register{out.Revision, out.Value}}
	case in.Verb == "delete" && mayWrite && out.Revision > s.revision && out.Value == s.value:
		return []any{register{}}
	}
	return nil
}

// Linearizable fails the test, and says how, unless the operations can be put into an order that explains all answers.
func Linearizable(t testing.TB, operations []porcupine.Operation) {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(Model.ToModel(), operations, time.Minute)
	if result == porcupine.Ok {
		return
	}
	file := t.TempDir() + "/history.html"
	if err := porcupine.VisualizePath(Model.ToModel(), info, file); err != nil {
		t.Log(err)
	}
	for _, op := range operations {
		t.Logf("client %d %d..%d: %+v -> %+v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
	}
	t.Errorf("%d operations are not linearizable (%s)", len(operations), result)
}
