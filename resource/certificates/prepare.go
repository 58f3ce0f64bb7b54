package certificates

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// prepare notes who asks: signers decide by that, so the sender cannot set it.
func prepare(r *resource.Request, csr *certificatesv1.CertificateSigningRequest) {
	csr.Spec.Username, csr.Spec.UID, csr.Spec.Groups, csr.Spec.Extra = r.User.Name, r.User.UID, r.User.Groups, nil
	for key, values := range r.User.Extra {
		if csr.Spec.Extra == nil {
			csr.Spec.Extra = map[string]certificatesv1.ExtraValue{}
		}
		csr.Spec.Extra[key] = values
	}
}

// prepareUpdate: what was asked for never changes.
func prepareUpdate(_ *resource.Request, csr, old *certificatesv1.CertificateSigningRequest) {
	csr.Spec, csr.Status = old.Spec, old.Status
}

// prepareStatus keeps verdicts: they are given through the approval subresource.
func prepareStatus(r *resource.Request, csr, old *certificatesv1.CertificateSigningRequest) {
	csr.Spec = old.Spec
	resource.KeepAllButStatus(csr, old)
	csr.Status.Conditions = mix(csr.Status.Conditions, old.Status.Conditions)
	stamp(r, csr, old)
}

// prepareApproval keeps all but verdicts.
func prepareApproval(r *resource.Request, csr, old *certificatesv1.CertificateSigningRequest) {
	conditions := mix(old.Status.Conditions, csr.Status.Conditions)
	resource.KeepAllButStatus(csr, old)
	csr.Status = *old.Status.DeepCopy()
	csr.Status.Conditions = conditions
	stamp(r, csr, old)
}

// mix takes the verdicts from one list and the other conditions from another.
func mix(others, verdicts []certificatesv1.CertificateSigningRequestCondition) []certificatesv1.CertificateSigningRequestCondition {
	var out []certificatesv1.CertificateSigningRequestCondition
	for _, c := range others {
		if !verdict(c) {
			out = append(out, c)
		}
	}
	for _, c := range verdicts {
		if verdict(c) {
			out = append(out, c)
		}
	}
	return out
}

func verdict(c certificatesv1.CertificateSigningRequestCondition) bool {
	return c.Type == certificatesv1.CertificateApproved || c.Type == certificatesv1.CertificateDenied
}

// stamp gives conditions the times that their authors left out.
func stamp(r *resource.Request, csr, old *certificatesv1.CertificateSigningRequest) {
	now := metav1.NewTime(r.Now)
	for i := range csr.Status.Conditions {
		c := &csr.Status.Conditions[i]
		if c.LastUpdateTime.IsZero() {
			c.LastUpdateTime = now
		}
		if !c.LastTransitionTime.IsZero() {
			continue
		}
		c.LastTransitionTime = now
		for _, before := range old.Status.Conditions {
			if before.Type == c.Type && before.Status == c.Status && !before.LastTransitionTime.IsZero() {
				c.LastTransitionTime = before.LastTransitionTime
			}
		}
	}
}
