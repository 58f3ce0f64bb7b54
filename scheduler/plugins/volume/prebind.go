package volume

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

// WillPreBind implements plugin.PreFlight.
func (*Binding) WillPreBind(c *plugin.Cycle) bool {
	n, ok := c.Get(BindingName).(*plan)
	return ok && n.chosen != nil && len(n.chosen.static)+len(n.chosen.dynamic) > 0
}

// PreBind implements plugin.PreBind: it writes what Reserve decided, and waits until the claims are bound.
func (p *Binding) PreBind(ctx context.Context, c *plugin.Cycle, node string) *plugin.Status {
	if !p.WillPreBind(c) {
		return nil
	}
	chosen := c.Get(BindingName).(*plan).chosen
	var claims []*corev1.PersistentVolumeClaim
	for _, s := range chosen.static {
		if _, err := p.env.Client.CoreV1().PersistentVolumes().Update(ctx, s.volume, metav1.UpdateOptions{}); err != nil {
			return plugin.Failed(fmt.Errorf("binding volume %s: %w", s.volume.Name, err))
		}
		claims = append(claims, s.claim)
	}
	for _, claim := range chosen.dynamic {
		if _, err := p.env.Client.CoreV1().PersistentVolumeClaims(claim.Namespace).Update(ctx, claim, metav1.UpdateOptions{}); err != nil {
			return plugin.Failed(fmt.Errorf("asking to provision for claim %s: %w", claim.Name, err))
		}
		claims = append(claims, claim)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	for _, claim := range claims {
		if err := p.waiters.untilBound(ctx, claim, node); err != nil {
			return plugin.Failed(fmt.Errorf("binding volumes: %w", err))
		}
	}
	return nil
}

// waiters lets bindings wait for claims.
type waiters struct {
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	changes *plugin.Changes
}

func newWaiters(env *plugin.Env) (*waiters, error) {
	core := env.Informers.Core().V1()
	changes, err := plugin.NewChanges(core.PersistentVolumeClaims().Informer(), env)
	return &waiters{claims: core.PersistentVolumeClaims().Lister(), volumes: core.PersistentVolumes().Lister(), changes: changes}, err
}

// untilBound waits until a claim is bound to a volume that the node can use. It fails when that will not happen any more.
func (w *waiters) untilBound(ctx context.Context, want *corev1.PersistentVolumeClaim, node string) error {
	began := time.Now()
	for {
		next := w.changes.Next(want.Namespace + "/" + want.Name)
		claim, err := w.claims.PersistentVolumeClaims(want.Namespace).Get(want.Name)
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("claim %s is gone", want.Name)
		case err != nil:
			return err
		case claim.UID != want.UID:
			return fmt.Errorf("claim %s is another one now", want.Name)
		case bound(claim):
			return nil
		case claim.ResourceVersion != want.ResourceVersion && want.Annotations[annSelectedNode] != "" &&
			claim.Annotations[annSelectedNode] == "" && time.Since(began) > time.Second:
			return fmt.Errorf("provisioning for claim %s failed on node %s: its provisioner asks for another one", want.Name, node)
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("claim %s was not bound in time: %w", want.Name, ctx.Err())
		}
	}
}
