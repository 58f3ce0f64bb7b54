package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource/expression"
)

// Mutating is the plug-in MutatingAdmissionPolicy. A deletion has no object that could be changed.
func Mutating(w *match.World) admission.Plugin {
	m := &mutator{newSet(w, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", mutatingPolicy, mutatingBinding)}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update, admission.Connect}, Admit: m.admit}
}

type mutator struct{ *set }

// memory is what the first round leaves to the second: who wants to run again if the object changes after them.
type memory struct {
	before, again map[identity]bool
	// last is the object as the policies left it.
	last runtime.Object
}

// identity tells invocations apart.
type identity struct {
	policy, binding string
	param           store.Key
}

func (m *memory) changed() {
	for id := range m.before {
		m.again[id] = true
	}
	clear(m.before)
}

// admit lets policies change the object, one after the other, each seeing what those before it did.
func (m *mutator) admit(ctx context.Context, a *admission.Attributes) error {
	all, err := m.get(ctx, a)
	if err != nil || len(all) == 0 {
		return err
	}
	found, failures := m.matching(ctx, a, all)
	if len(found) > 0 {
		more, err := m.run(ctx, a, found)
		if err != nil {
			return err
		}
		failures = append(failures, more...)
	}
	return refusal(a, failures)
}

// refusal is the answer to a request for which policies failed that must not.
func refusal(a *admission.Attributes, failures []failure) error {
	if len(failures) == 0 {
		return nil
	}
	err := apierrors.NewForbidden(a.Resource.GroupResource(), a.ObjectName(), nil)
	err.ErrStatus.Message = failures[0].text()
	if failures[0].binding != nil {
		err.ErrStatus.Reason = metav1.StatusReasonInvalid
	}
	for _, f := range failures {
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Message: f.text()})
	}
	return err
}

func (f *failure) text() string {
	if f.binding != nil {
		return fmt.Sprintf("policy '%s' with binding '%s' denied request: %v", f.policy.name, f.binding.name, f.err)
	}
	return fmt.Sprintf("policy %q denied request: %v", f.policy.name, f.err)
}

func (m *mutator) run(ctx context.Context, a *admission.Attributes, found []invocation) ([]failure, error) {
	namespace, err := m.namespaceObject(ctx, a)
	if err != nil {
		return nil, err
	}
	kept, ok := a.Kept().(*memory)
	if !ok {
		kept = &memory{before: map[identity]bool{}, again: map[identity]bool{}}
		a.Keep(kept)
	}
	if a.Round > 0 && !equality.Semantic.DeepEqual(kept.last, a.Object) {
		kept.changed() // other plug-ins did something since
	}
	var failures []failure
	asker, seen := m.world.Asker(), m.world.Versions(a)
	for i := range found {
		in := &found[i]
		id := identity{in.name, in.binding.name, in.param}
		if a.Round > 0 && !kept.again[id] {
			continue
		}
		v, err := seen(in.hit)
		if err != nil {
			return nil, apierrors.NewInternalError(err)
		}
		changed, err := m.one(ctx, in, v, asker, namespace)
		if err != nil {
			if status := apierrors.APIStatus(nil); errors.As(err, &status) {
				return nil, err
			}
			if !in.failOpen {
				failures = append(failures, failure{in.policy, in.binding, err})
			}
		}
		if changed {
			seen = m.world.Versions(a)
			kept.changed()
			a.AskAgain()
			a.Changed("policy %s", in.name)
		}
		if in.reinvoke {
			kept.before[id] = true
		}
	}
	if a.Object != nil {
		kept.last = a.Object.DeepCopyObject()
	}
	return failures, nil
}

// one runs a policy's mutations in turn, each on what the one before it made. It says whether the object is another one now.
func (m *mutator) one(ctx context.Context, in *invocation, v *match.Version, asker *match.Asker, namespace *corev1.Namespace) (bool, error) {
	p := in.program()
	before := v.Object
	input, err := m.world.Input(v, asker, namespace, in.params)
	if err != nil {
		return false, err
	}
	if holds, err := p.conditions.Hold(p.compiler.Run(ctx, input)); err != nil || !holds || before == nil {
		return false, err
	}
	var failed error
	for i := range p.mutations {
		begun := time.Now()
		err := m.mutate(ctx, &p.mutations[i], p, in, v, asker, namespace)
		observeMutation(in, err, time.Since(begun))
		if status := apierrors.APIStatus(nil); errors.As(err, &status) {
			return false, err
		}
		failed = errors.Join(failed, err)
	}
	if equality.Semantic.DeepEqual(before, v.Object) {
		return false, failed
	}
	if err := m.world.Keep(v); err != nil {
		return false, apierrors.NewInternalError(fmt.Errorf("failed to convert object: %w", err))
	}
	return true, failed
}

// mutate evaluates a mutation and applies what it comes to.
func (m *mutator) mutate(ctx context.Context, change *edit, p *program, in *invocation, v *match.Version, asker *match.Asker, namespace *corev1.Namespace) error {
	if change.Err != nil {
		return change.Err
	}
	input, err := m.world.Input(v, asker, namespace, in.params)
	if err != nil {
		return err
	}
	budget := int64(expression.Budget)
	value, err, over := p.compiler.Run(ctx, input).Eval(change.Program, &budget)
	if err = errors.Join(err, over); err != nil {
		return err
	}
	var next runtime.Object
	if change.apply {
		next, err = m.applied(v, value)
	} else {
		next, err = m.patched(v, value)
	}
	if err == nil && next != nil {
		v.Replace(next)
	}
	return err
}
