package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/apiserver/request"
)

// memory is what the first round leaves to the second: who wants to be asked again if the object changes after them.
type memory struct {
	before, again map[string]bool // by hook.id
	// last is the object as these webhooks left it.
	last runtime.Object
}

// changed says that the object is not any more what those saw who were asked before.
func (m *memory) changed() {
	for id := range m.before {
		m.again[id] = true
	}
	clear(m.before)
}

// admit lets webhooks change the object, one after the other, each seeing what those before it did.
func (h *hooks) admit(ctx context.Context, a *admission.Attributes) error {
	all, err := h.get(ctx, a)
	if err != nil || len(all) == 0 {
		return err
	}
	m, ok := a.Kept().(*memory)
	if !ok {
		m = &memory{before: map[string]bool{}, again: map[string]bool{}}
		a.Keep(m)
	}
	if a.Round > 0 && !equality.Semantic.DeepEqual(m.last, a.Object) {
		m.changed() // other plug-ins did something since
	}
	version, index := h.world.Versions(a), 0
	for _, configuration := range all {
		for _, hook := range configuration {
			changed, err := h.admitOne(ctx, a, hook, index, m, version)
			if err != nil {
				return err
			}
			if changed {
				version = h.world.Versions(a)
			}
			index++
		}
	}
	if a.Object != nil {
		m.last = a.Object.DeepCopyObject()
	}
	return nil
}

// admitOne asks one webhook, if it wants to be, and does what it says. The result says whether the object was replaced.
func (h *hooks) admitOne(ctx context.Context, a *admission.Attributes, hook *hook, index int, m *memory, version func(match.Hit) (*match.Version, error)) (bool, error) {
	if a.Round > 0 && !m.again[hook.id] {
		return false, nil // nobody is asked for the first time in the second round
	}
	v, err := hook.wanted(ctx, h.world, a, version)
	if err != nil || v == nil {
		return false, err
	}
	t := trace{hook, a, index}
	begun := time.Now()
	replaced, changed, err := h.change(ctx, hook, v, t)
	t.mutated(changed)
	o, took := hook.outcomeOf(err), time.Since(begun)
	request.From(ctx).Exclude(took)
	observeCall(hook, a, took, o)
	if changed {
		m.changed()
		a.AskAgain()
		a.Changed("webhook %s", hook.name)
	}
	if hook.reinvoke {
		m.before[hook.id] = true
	}
	if o.open {
		if !o.canceled {
			klog.FromContext(ctx).Info("Failed calling webhook, failing open", "webhook", hook.name, "err", err)
			failedOpen.WithLabelValues(hook.name, hook.kind).Inc()
			t.failedOpen()
		}
		if ctx.Err() != nil {
			return false, errEnded()
		}
	}
	return replaced, o.err
}

// change calls a webhook and applies its patch to the request. changed says whether the object is another one than before.
func (h *hooks) change(ctx context.Context, hook *hook, v *match.Version, t trace) (replaced, changed bool, err error) {
	response, err := h.clients.call(ctx, hook, v)
	if err != nil || len(response.Patch) == 0 {
		return false, false, err
	}
	if *response.PatchType != admissionv1.PatchTypeJSONPatch {
		return false, false, &callError{hook.name, fmt.Errorf("unsupported patch type %q", *response.PatchType), 500}
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		return false, false, &callError{hook.name, fmt.Errorf("received undecodable patch in webhook response: %w", err), 503}
	}
	if len(patch) == 0 {
		return false, false, nil
	}
	if v.Object == nil {
		return false, false, apierrors.NewInternalError(fmt.Errorf(
			"admission webhook %q attempted to modify the object, which is not supported for this operation", hook.name))
	}
	next, err := h.world.Patched(v, patch, false)
	if err != nil {
		return false, false, apierrors.NewInternalError(err)
	}
	changed = !equality.Semantic.DeepEqual(v.Object, next)
	t.patched(patch)
	v.Replace(next)
	if err := h.world.Keep(v); err != nil {
		return false, false, apierrors.NewInternalError(err)
	}
	return true, changed, nil
}

// trace writes the audit annotations of one call.
type trace struct {
	hook  *hook
	a     *admission.Attributes
	index int
}

func (t trace) key(prefix string) string {
	return fmt.Sprintf("%s/round_%d_index_%d", prefix, t.a.Round, t.index)
}

// about is the value of annotations.
type about struct {
	Configuration string `json:"configuration"`
	Webhook       string `json:"webhook"`
	Mutated       *bool  `json:"mutated,omitempty"`
	Patch         any    `json:"patch,omitempty"`
	PatchType     string `json:"patchType,omitempty"`
}

func (t trace) mutated(changed bool) {
	t.annotate(t.a.AddAnnotation, "mutation.webhook.admission.k8s.io", about{Mutated: &changed})
}

// patched may hold what only those may see who may see the object.
func (t trace) patched(patch jsonpatch.Patch) {
	t.annotate(t.a.AddRequestAnnotation, "patch.webhook.admission.k8s.io", about{Patch: patch, PatchType: string(admissionv1.PatchTypeJSONPatch)})
}

func (t trace) annotate(add func(key, value string), prefix string, value about) {
	value.Configuration, value.Webhook = t.hook.configuration, t.hook.name
	if text, err := json.Marshal(value); err == nil {
		add(t.key(prefix), string(text))
	}
}

func (t trace) failedOpen() {
	t.a.AddAnnotation(t.key("failed-open.mutation.webhook.admission.k8s.io"), t.hook.name)
}
