package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/septet-io/septet/apiserver/store"
)

type input struct {
	verb         string
	key          store.Key
	value        string
	precondition string // a resourceVersion
}

// output is an object, or one of the definite refusals, or unknown.
type output struct {
	revision                            int64
	value                               string
	notFound, exists, conflict, unknown bool
	err                                 error
}

// register is the state of one key; revision 0: it does not exist.
type register struct {
	revision int64
	value    string
}

// model is a register with optimistic concurrency. Keys are independent.
var model = porcupine.NondeterministicModel{
	Partition: func(operations []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[store.Key][]porcupine.Operation{}
		for _, op := range operations {
			key := op.Input.(input).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{register{}} },
	Step: func(state, in, out any) []any { return step(state.(register), in.(input), out.(output)) },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v -> %+v", in, out)
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
}

// unseen is the revision of a state that an unanswered write made: whatever is read next tells it.
const unseen = int64(-1)

// step returns the states that may follow; none if the output is impossible.
func step(s register, in input, out output) []any {
	there := s.revision != 0
	same := func(ok bool) []any {
		if ok {
			return []any{s}
		}
		return nil
	}
	mayWrite := there && (in.precondition == "" || s.revision == unseen || in.precondition == fmt.Sprint(s.revision))
	switch {
	case in.verb == "get" && out.notFound, (in.verb == "update" || in.verb == "delete") && out.notFound:
		return same(!there)
	case in.verb == "get":
		if s.revision == unseen && s.value == out.value {
			return []any{register{out.revision, out.value}}
		}
		return same(there && s.revision == out.revision && s.value == out.value)
	case out.exists:
		return same(there)
	case out.conflict:
		return same(there && in.precondition != fmt.Sprint(s.revision))
	case in.verb == "create" && out.unknown:
		if there {
			return []any{s}
		}
		return []any{s, register{unseen, in.value}}
	case in.verb == "update" && out.unknown:
		if mayWrite {
			return []any{s, register{unseen, in.value}}
		}
		return []any{s}
	case in.verb == "delete" && out.unknown:
		if mayWrite {
			return []any{s, register{}}
		}
		return []any{s}
	case in.verb == "create" && !there:
		return []any{register{out.revision, out.value}}
	case in.verb == "update" && mayWrite && out.revision > s.revision:
		return []any{register{out.revision, out.value}}
	case in.verb == "delete" && mayWrite && out.revision > s.revision && out.value == s.value:
		return []any{register{}}
	}
	return nil
}

func (h *history) judgeOperations(t *testing.T) {
	result, info := porcupine.CheckOperationsVerbose(model.ToModel(), h.operations, time.Minute)
	if result == porcupine.Ok {
		return
	}
	file := t.TempDir() + "/history.html"
	if err := porcupine.VisualizePath(model.ToModel(), info, file); err != nil {
		t.Log(err)
	}
	for _, op := range h.operations {
		t.Logf("client %d %d..%d: %+v -> %+v", op.ClientId, op.Call, op.Return, op.Input, op.Output)
	}
	t.Errorf("seed %d: %d operations are not linearizable (%s)", h.seed, len(h.operations), result)
}
