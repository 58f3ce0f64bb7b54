package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/resource/expression"
)

// Validating is the plug-in ValidatingAdmissionPolicy.
func Validating(w *match.World) admission.Plugin {
	v := &validator{newSet(w, "validatingadmissionpolicies", "validatingadmissionpolicybindings", validatingPolicy, validatingBinding)}
	return admission.Plugin{Validate: v.validate}
}

type validator struct{ *set }

// decision is what one validation comes to.
type decision struct {
	denied bool
	// ignored is an error that the failure policy ignores.
	ignored error
	message string
	reason  metav1.StatusReason // empty for errors
	err     error
	took    time.Duration
}

// validate runs all policies, so that all warnings and annotations are made, and then refuses for the first reason.
func (v *validator) validate(ctx context.Context, a *admission.Attributes) error {
	all, err := v.get(ctx, a)
	if err != nil || len(all) == 0 {
		return err
	}
	found, failures := v.matching(ctx, a, all)
	var refused []verdict
	for _, f := range failures {
		refused = append(refused, verdict{f.policy, f.binding, f.err.Error(), ""})
	}
	if len(found) > 0 {
		more, err := v.run(ctx, a, found)
		if err != nil {
			return err
		}
		refused = append(refused, more...)
	}
	if len(refused) == 0 {
		return nil
	}
	// In the order of policies and bindings, whether they failed or refused.
	slices.SortStableFunc(refused, func(x, y verdict) int { return strings.Compare(x.policy.name, y.policy.name) })
	return refused[0].error(a)
}

// verdict refuses a request.
type verdict struct {
	policy  *policy
	binding *binding
	message string
	reason  metav1.StatusReason
}

// codes are the answers' status codes by reason.
var codes = map[metav1.StatusReason]int32{
	metav1.StatusReasonForbidden: http.StatusForbidden, metav1.StatusReasonUnauthorized: http.StatusUnauthorized,
	metav1.StatusReasonRequestEntityTooLarge: http.StatusRequestEntityTooLarge, metav1.StatusReasonInvalid: http.StatusUnprocessableEntity,
}

func (r verdict) error(a *admission.Attributes) error {
	with := ""
	if r.binding != nil {
		with = fmt.Sprintf(" with binding '%s'", r.binding.name)
	}
	message := fmt.Sprintf("ValidatingAdmissionPolicy '%s'%s denied request: %s", r.policy.name, with, r.message)
	err := apierrors.NewForbidden(a.Resource.GroupResource(), a.ObjectName(), errors.New(message))
	if r.reason == "" {
		r.reason = metav1.StatusReasonInvalid
	}
	err.ErrStatus.Reason, err.ErrStatus.Code = r.reason, codes[r.reason]
	if err.ErrStatus.Code == 0 {
		err.ErrStatus.Code = http.StatusUnprocessableEntity
	}
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Message: message})
	return err
}

// run evaluates the invocations in turn and carries out what their bindings want done.
func (v *validator) run(ctx context.Context, a *admission.Attributes, found []invocation) ([]verdict, error) {
	namespace, err := v.namespaceObject(ctx, a)
	if err != nil {
		return nil, err
	}
	var refused []verdict
	asker, seen := v.world.Asker(), v.world.Versions(a)
	notes := annotations{}
	for i := range found {
		in := &found[i]
		version, err := seen(in.hit)
		if err != nil {
			if !in.failOpen {
				refused = append(refused, verdict{in.policy, in.binding, fmt.Sprintf("failed to configure binding: failed to convert object version: %v", err), ""})
			}
			continue
		}
		refused = append(refused, v.one(ctx, in, version, asker, namespace, notes)...)
	}
	notes.publish(a)
	return refused, nil
}

// one evaluates one invocation.
func (v *validator) one(ctx context.Context, in *invocation, version *match.Version, asker *match.Asker, namespace *corev1.Namespace, notes annotations) []verdict {
	p := in.program()
	input, err := v.world.Input(version, asker, namespace, in.params)
	if err != nil {
		return in.carryOut(version, []decision{in.failed(err, 0)})
	}
	run := p.compiler.Run(ctx, input)
	holds, err := p.conditions.Hold(run)
	if err != nil {
		return in.carryOut(version, []decision{in.failed(err, 0)})
	}
	if !holds {
		return nil
	}
	decisions, err := in.decide(p, run)
	if err != nil {
		return in.carryOut(version, []decision{in.failed(err, 0)})
	}
	refused := in.carryOut(version, decisions)
	return append(refused, in.annotate(p, run, notes)...)
}

// failed is what an error comes to by the failure policy.
func (in *invocation) failed(err error, took time.Duration) decision {
	if in.failOpen {
		return decision{ignored: err, took: took}
	}
	return decision{denied: true, message: err.Error(), err: err, took: took}
}

// decide evaluates the validations; an error ends all of them.
func (in *invocation) decide(p *program, run *expression.Run) ([]decision, error) {
	budget := int64(expression.Budget)
	decisions := make([]decision, 0, len(p.validations))
	for i := range p.validations {
		check := &p.validations[i]
		begun := time.Now()
		value, err, over := run.Eval(check.Program, &budget)
		switch took := time.Since(begun); {
		case over != nil:
			return nil, over
		case err != nil:
			decisions = append(decisions, in.failed(err, took))
		case value == types.True:
			decisions = append(decisions, decision{took: took})
		default:
			decisions = append(decisions, in.deny(check, run, &budget, took))
		}
	}
	return decisions, nil
}

// maxMessage is how many bytes a computed message may have.
const maxMessage = 5 << 10

// deny finds the words: those computed, those written down, or the expression.
func (in *invocation) deny(check *validation, run *expression.Run, budget *int64, took time.Duration) decision {
	d := decision{denied: true, message: check.message, reason: check.reason, took: took}
	if check.messageOf == nil {
		return d
	}
	var value ref.Val
	var err, over error
	run.Quietly(func() { value, err, over = run.Eval(check.messageOf, budget) })
	if over != nil {
		return in.failed(fmt.Errorf("failed messageExpression: %w", over), took)
	}
	if err != nil || value == nil {
		return d
	}
	if text, ok := value.Value().(string); ok {
		text = strings.TrimSpace(text)
		if text != "" && len(text) <= maxMessage && !strings.Contains(text, "\n") {
			d.message = text
		}
	}
	return d
}

// carryOut does what the binding wants done about decisions; what refuses the request is returned.
func (in *invocation) carryOut(v *match.Version, decisions []decision) []verdict {
	var refused []verdict
	for i := range decisions {
		d := &decisions[i]
		if d.ignored != nil {
			in.observe("allow", d.ignored, d.took)
		}
		if !d.denied {
			continue
		}
		for _, action := range in.binding.actions {
			switch action {
			case registrationv1.Deny:
				refused = append(refused, verdict{in.policy, in.binding, d.message, d.reason})
				in.observe("deny", d.err, d.took)
			case registrationv1.Warn:
				v.AddWarning(fmt.Sprintf("Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s", in.name, in.binding.name, d.message))
				in.observe("warn", d.err, d.took)
			case registrationv1.Audit:
				in.audit(v, i, d)
				in.observe("audit", d.err, d.took)
			}
		}
	}
	return refused
}

// audit notes a failed validation in the audit event.
func (in *invocation) audit(v *match.Version, index int, d *decision) {
	text, err := json.Marshal([]struct {
		Message           string                            `json:"message"`
		Policy            string                            `json:"policy"`
		Binding           string                            `json:"binding"`
		ExpressionIndex   int                               `json:"expressionIndex"`
		ValidationActions []registrationv1.ValidationAction `json:"validationActions"`
	}{{d.message, in.name, in.binding.name, index, in.binding.actions}})
	if err == nil {
		v.AddAnnotation("validation.policy.admission.k8s.io/validation_failure", string(text))
	}
}

// annotations of the audit event by key; several bindings may give one key several values.
type annotations map[string][]string

// maxAnnotation is how long a value may be.
const maxAnnotation = 10 << 10

func (n annotations) publish(a *admission.Attributes) {
	for key, values := range n {
		a.AddAnnotation(key, strings.Join(values, ", "))
	}
}

// annotate evaluates the policy's audit annotations. An error refuses the request, unless the policy may fail.
func (in *invocation) annotate(p *program, run *expression.Run, notes annotations) []verdict {
	budget := int64(expression.Budget)
	var refused []verdict
	for i := range p.annotations {
		a := &p.annotations[i]
		begun := time.Now()
		value, err, over := run.Eval(a.Program, &budget)
		if err = errors.Join(err, over); err != nil {
			if !in.failOpen {
				refused = append(refused, verdict{in.policy, in.binding, err.Error(), ""})
				in.observe("deny", err, time.Since(begun))
			}
			if over != nil {
				break
			}
			continue
		}
		text, _ := value.Value().(string)
		if text = strings.TrimSpace(text); text == "" {
			continue // null, or nothing to say
		}
		key := in.name + "/" + a.key
		if text = text[:min(len(text), maxAnnotation)]; !slices.Contains(notes[key], text) {
			notes[key] = append(notes[key], text)
		}
	}
	return refused
}
