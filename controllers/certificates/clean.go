package certificates

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

// How long requests stay, counted from their last change.
const (
	keepApproved = time.Hour
	keepDenied   = time.Hour
	keepPending  = 24 * time.Hour
)

type cleaner struct {
	client   *client.Set
	requests cache.SharedIndexInformer
}

// NewCleaner returns the controller that removes requests which nobody needs any more: an hour after they were decided, a day
// after nobody did, and when their certificate has ended.
func NewCleaner(set *client.Set) (reconcile.Controller, error) {
	c := &cleaner{client: set, requests: set.Informers.Certificates().V1().CertificateSigningRequests().Informer()}
	return reconcile.Controller{
		Name: "certificatesigningrequest-cleaner-controller", Queue: "csrcleaner", Kind: "CertificateSigningRequest", Workers: 1,
		Watches:   []reconcile.Watch{{Informer: c.requests}},
		Reconcile: c.reconcile,
	}, nil
}

func (c *cleaner) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	csr, found := index.Get[*certificatesv1.CertificateSigningRequest](c.requests, "", key.Name)
	if !found || csr.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if left := time.Until(End(csr)); left > 0 {
		return reconcile.Result{After: left}, nil
	}
	err := c.client.CertificatesV1().CertificateSigningRequests().Delete(ctx, csr.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &csr.UID}})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return reconcile.Result{}, err
}

// End is when a request is to be removed.
func End(csr *certificatesv1.CertificateSigningRequest) time.Time {
	end := csr.CreationTimestamp.Add(keepPending)
	for _, condition := range csr.Status.Conditions {
		last := condition.LastUpdateTime.Time
		if last.IsZero() {
			last = csr.CreationTimestamp.Time
		}
		switch condition.Type {
		case certificatesv1.CertificateApproved:
			if len(csr.Status.Certificate) > 0 {
				end = earlier(end, last.Add(keepApproved))
			}
		case certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			end = earlier(end, last.Add(keepDenied))
		}
	}
	if block, _ := pem.Decode(csr.Status.Certificate); block != nil {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			end = earlier(end, certificate.NotAfter)
		}
	}
	return end
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
