package plugins

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/resource"
)

// certificateApproval lets those approve or deny a request who may do so for its signer.
// https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization
func certificateApproval(env *Env) (admission.Plugin, error) {
	validate := func(ctx context.Context, a *admission.Attributes) error {
		old, ok := a.OldObject.(*certificatesv1.CertificateSigningRequest)
		if !ok || a.Subresource != "approval" {
			return nil
		}
		return forSigner(ctx, env, a, "approve", old.Spec.SignerName)
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Update}, Validate: validate}, nil
}

// certificateSigning lets those write a certificate who may do so for its signer.
func certificateSigning(env *Env) (admission.Plugin, error) {
	validate := func(ctx context.Context, a *admission.Attributes) error {
		old, ok := a.OldObject.(*certificatesv1.CertificateSigningRequest)
		request, okNew := a.Object.(*certificatesv1.CertificateSigningRequest)
		if !ok || !okNew || a.Subresource != "status" {
			return nil
		}
		// Conditions are told by others too; it is the certificate and its failure that are the signer's.
		if bytes.Equal(old.Status.Certificate, request.Status.Certificate) && failed(old) == failed(request) {
			return nil
		}
		return forSigner(ctx, env, a, "sign", old.Spec.SignerName)
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Update}, Validate: validate}, nil
}

func failed(r *certificatesv1.CertificateSigningRequest) bool {
	return slices.ContainsFunc(r.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
		return c.Type == certificatesv1.CertificateFailed
	})
}

// forSigner asks whether a user may do something for a signer, or for all signers of its domain.
func forSigner(ctx context.Context, env *Env, a *admission.Attributes, verb, signer string) error {
	domain, _, _ := strings.Cut(signer, "/")
	for _, name := range []string{signer, domain + "/*"} {
		may, err := allowed(ctx, env, a.User, &authorizationv1.ResourceAttributes{
			Verb: verb, Group: certificatesv1.GroupName, Version: "*", Resource: "signers", Name: name,
		})
		if err != nil {
			return apierrors.NewInternalError(err)
		}
		if may {
			return nil
		}
	}
	return forbidden(a, fmt.Errorf("user not permitted to %s requests with signerName %q", verb, signer))
}

// allowed asks the server's own authorizers about a user.
func allowed(ctx context.Context, env *Env, user resource.User, what *authorizationv1.ResourceAttributes) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range user.Extra {
		extra[key] = values
	}
	review, err := env.Set.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user.Name, UID: user.UID, Groups: user.Groups, Extra: extra, ResourceAttributes: what},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// certificateSubject refuses requests for client certificates that would make their holder an administrator whom no rule can stop.
func certificateSubject(*Env) (admission.Plugin, error) {
	validate := func(_ context.Context, a *admission.Attributes) error {
		request, ok := a.Object.(*certificatesv1.CertificateSigningRequest)
		if !ok || a.Subresource != "" || request.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
			return nil
		}
		block, _ := pem.Decode(request.Spec.Request)
		if block == nil {
			return forbidden(a, fmt.Errorf("failed to parse CSR: PEM block type must be CERTIFICATE REQUEST"))
		}
		parsed, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return forbidden(a, fmt.Errorf("failed to parse CSR: %w", err))
		}
		if slices.Contains(parsed.Subject.Organization, "system:masters") {
			return forbidden(a, fmt.Errorf("use of %s signer with system:masters group is not allowed", request.Spec.SignerName))
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Validate: validate}, nil
}
