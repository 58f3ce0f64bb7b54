// Package admissionpolicy tells in the status of ValidatingAdmissionPolicies whether their expressions fit what they are about.
// https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
package admissionpolicy

import (
	"context"
	"fmt"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	apply "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// manager owns the fields of the status.
const manager = "validatingadmissionpolicy-status"

type controller struct {
	client   *client.Set
	policies cache.SharedIndexInformer
	checker  checker
}

// New returns the controller. Its keys are ValidatingAdmissionPolicies.
func New(set *client.Set, workers int) (reconcile.Controller, error) {
	return newWith(set, workers, &resolver.ClientDiscoveryResolver{Discovery: set.Discovery()}), nil
}

func newWith(set *client.Set, workers int, schemas resolver.SchemaResolver) reconcile.Controller {
	c := &controller{
		client: set, policies: set.Informers.Admissionregistration().V1().ValidatingAdmissionPolicies().Informer(),
		checker: checker{discovery: set.Discovery(), schemas: schemas},
	}
	return reconcile.Controller{
		Name: "validatingadmissionpolicy-status-controller", Queue: manager, Kind: "ValidatingAdmissionPolicy", Workers: workers,
		Watches: []reconcile.Watch{{Informer: c.policies}}, Reconcile: c.reconcile,
	}
}

// reconcile checks a policy once for each of its generations: kinds that come later do not matter until it changes, as upstream.
func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	policy, found := index.Get[*registrationv1.ValidatingAdmissionPolicy](c.policies, "", key.Name)
	if !found || policy.Status.ObservedGeneration >= policy.Generation {
		return reconcile.Result{}, nil
	}
	warnings, err := c.checker.check(policy)
	if err != nil {
		return reconcile.Result{}, err
	}
	checking := apply.TypeChecking()
	for i := range warnings {
		checking.WithExpressionWarnings(apply.ExpressionWarning().WithFieldRef(warnings[i].FieldRef).WithWarning(warnings[i].Warning))
	}
	status := apply.ValidatingAdmissionPolicyStatus().WithObservedGeneration(policy.Generation).WithTypeChecking(checking)
	made, err := c.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().ApplyStatus(ctx,
		apply.ValidatingAdmissionPolicy(policy.Name).WithStatus(status), metav1.ApplyOptions{FieldManager: manager, Force: true})
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	reconcile.Note(ctx, journal.Record{
		Step: "update", Kind: "ValidatingAdmissionPolicy", Name: made.Name, UID: made.UID, Made: made.ResourceVersion, Note: fmt.Sprintf("%d warnings", len(warnings)),
	})
	return reconcile.Result{}, nil
}
