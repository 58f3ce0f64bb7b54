package certificates

import (
	"context"
	"crypto/x509"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

type approver struct {
	client         *client.Set
	requests, node cache.SharedIndexInformer
	serving        bool
}

// NewApprover returns the controller that approves kubelets' client certificates for those whom RBAC lets ask (the
// virtual subresources nodeclient and selfnodeclient), and with serving also kubelets' serving certificates,
// if every name and address in them is the node's own. Upstream leaves the latter to administrators.
func NewApprover(set *client.Set, workers int, serving bool) (reconcile.Controller, error) {
	a := &approver{
		client: set, requests: set.Informers.Certificates().V1().CertificateSigningRequests().Informer(),
		node: set.Informers.Core().V1().Nodes().Informer(), serving: serving,
	}
	return reconcile.Controller{
		Name: "certificatesigningrequest-approving-controller", Queue: "certificate", Kind: "CertificateSigningRequest", Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: a.requests, Keys: reconcile.Of(undecided)},
			{Informer: a.node, Keys: reconcile.Of(a.onNode)},
		},
		Reconcile: a.reconcile,
	}, nil
}

func undecided(_, csr *certificatesv1.CertificateSigningRequest) []reconcile.Key {
	if csr == nil || decided(csr) || len(csr.Status.Certificate) > 0 {
		return nil
	}
	return []reconcile.Key{{Name: csr.Name}}
}

// onNode looks again at what a node asked for before its addresses were known.
func (a *approver) onNode(old, node *corev1.Node) []reconcile.Key {
	if node == nil || !a.serving || old != nil && len(old.Status.Addresses) == len(node.Status.Addresses) {
		return nil
	}
	var keys []reconcile.Key
	for _, csr := range index.All[*certificatesv1.CertificateSigningRequest](a.requests) {
		if !decided(csr) && csr.Spec.Username == nodeUser+node.Name {
			keys = append(keys, reconcile.Key{Name: csr.Name})
		}
	}
	return keys
}

func (a *approver) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	csr, found := index.Get[*certificatesv1.CertificateSigningRequest](a.requests, "", key.Name)
	if !found || decided(csr) || len(csr.Status.Certificate) > 0 {
		return reconcile.Result{}, nil
	}
	request, err := parse(csr)
	if err != nil {
		return reconcile.Result{}, nil // validation refuses these; nothing to approve
	}
	switch csr.Spec.SignerName {
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		return reconcile.Result{}, a.client509(ctx, csr, request)
	case certificatesv1.KubeletServingSignerName:
		return reconcile.Result{}, a.serving509(ctx, csr, request)
	}
	return reconcile.Result{}, nil
}

func (a *approver) client509(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest) error {
	if nodeClient(request, csr.Spec.Usages) != nil {
		return nil
	}
	for _, way := range []struct{ subresource, message string }{
		{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."},
		{"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."},
	} {
		if way.subresource == "selfnodeclient" && csr.Spec.Username != request.Subject.CommonName {
			continue
		}
		allowed, err := a.mayAsk(ctx, csr, way.subresource)
		if err != nil {
			return err
		}
		if allowed {
			return a.approve(ctx, csr, way.message)
		}
	}
	return nil
}

// mayAsk asks the API server whether whoever made the request may have it approved.
func (a *approver) mayAsk(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, subresource string) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range csr.Spec.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := a.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: csr.Spec.Username, UID: csr.Spec.UID, Groups: csr.Spec.Groups, Extra: extra,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: certificatesv1.GroupName, Version: "*", Resource: "certificatesigningrequests", Verb: "create", Subresource: subresource,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

func (a *approver) serving509(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest) error {
	if !a.serving || nodeServing(request, csr.Spec.Usages) != nil || csr.Spec.Username != request.Subject.CommonName {
		return nil
	}
	node, found := index.Get[*corev1.Node](a.node, "", csr.Spec.Username[len(nodeUser):])
	if !found || ownNames(request, node) != nil {
		return nil // the node's next update may settle it; an administrator can at any time
	}
	return a.approve(ctx, csr, "Auto approving kubelet serving certificate whose names and addresses are all the node's.")
}

func (a *approver) approve(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, message string) error {
	approved := csr.DeepCopy()
	approved.Status.Conditions = append(approved.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "AutoApproved", Message: message,
	})
	updated, err := a.client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, csr.Name, approved, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	reconcile.Note(ctx, journal.Record{Step: "approve", Kind: "CertificateSigningRequest", Name: csr.Name, UID: csr.UID, Made: updated.ResourceVersion, Note: "for " + csr.Spec.Username})
	return nil
}
