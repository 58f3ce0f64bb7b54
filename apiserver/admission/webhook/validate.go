package webhook

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/apiserver/request"
)

// validate asks all webhooks that want to see the request at the same time; the first that is heard to refuse it decides.
func (h *hooks) validate(ctx context.Context, a *admission.Attributes) error {
	all, err := h.get(ctx, a)
	if err != nil || len(all) == 0 {
		return err
	}
	asked, err := h.wanted(ctx, a, all)
	if err != nil || len(asked) == 0 {
		return err
	}
	if ctx.Err() != nil {
		return errEnded()
	}
	refusals := make(chan error, len(asked))
	begun := time.Now()
	var wg sync.WaitGroup
	for i, call := range asked {
		wg.Go(func() {
			if err := h.ask(ctx, call, i); err != nil {
				refusals <- err
			}
		})
	}
	wg.Wait()
	request.From(ctx).Exclude(time.Since(begun))
	close(refusals)
	return <-refusals
}

// pending is a webhook with what it is shown.
type pending struct {
	hook    *hook
	version *match.Version
}

func (h *hooks) wanted(ctx context.Context, a *admission.Attributes, all [][]*hook) ([]pending, error) {
	var asked []pending
	version := h.world.Versions(a)
	for _, configuration := range all {
		for _, hook := range configuration {
			v, err := hook.wanted(ctx, h.world, a, version)
			if err != nil {
				return nil, err
			}
			if v == nil {
				continue
			}
			if _, _, err := v.JSON(); err != nil { // now, since the calls run at once
				return nil, apierrors.NewInternalError(err)
			}
			asked = append(asked, pending{hook, v})
		}
	}
	return asked, nil
}

// ask calls one webhook. A panic on the way refuses the request, unless the webhook may fail.
func (h *hooks) ask(ctx context.Context, p pending, index int) (refused error) {
	a := p.version.Attributes
	failOpen := func(err any) {
		klog.FromContext(ctx).Info("Failed calling webhook, failing open", "webhook", p.hook.name, "err", err)
		failedOpen.WithLabelValues(p.hook.name, p.hook.kind).Inc()
		a.AddAnnotation(fmt.Sprintf("failed-open.validating.webhook.admission.k8s.io/round_0_index_%d", index), p.hook.name)
	}
	defer func() {
		if broken := recover(); broken == nil {
			return
		} else if p.hook.failOpen {
			failOpen(broken)
		} else {
			refused = apierrors.NewInternalError(fmt.Errorf("ValidatingAdmissionWebhook/%v has panicked: %v", p.hook.name, broken))
		}
	}()
	begun := time.Now()
	_, err := h.clients.call(ctx, p.hook, p.version)
	o := p.hook.outcomeOf(err)
	observeCall(p.hook, a, time.Since(begun), o)
	if o.open && !o.canceled {
		failOpen(err)
	}
	return o.err
}
