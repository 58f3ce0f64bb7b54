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

// prepareStatus keeps verdicts as they are: they are given through the approval subresource. Where some were added or
// left out nothing can be kept, and validation says so.
func prepareStatus(r *resource.Request, csr, old *certificatesv1.CertificateSigningRequest) {
	csr.Spec = old.Spec
	resource.KeepAllButStatus(csr, old)
	for _, t := range []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied} {
		before, now := ofType(old, t), ofType(csr, t)
		if len(before) != len(now) {
			continue
		}
		for i := range now {
			csr.Status.Conditions[now[i]] = old.Status.Conditions[before[i]]
		}
	}
	stamp(r, csr, old)
}

// prepareApproval keeps all but conditions, of which an approver may have more to say than the verdict.
func prepareApproval(r *resource.Request, csr, old *certificatesv1.CertificateSigningRequest) {
	conditions := csr.Status.Conditions
	resource.KeepAllButStatus(csr, old)
	csr.Status = *old.Status.DeepCopy()
	csr.Status.Conditions = conditions
	stamp(r, csr, old)
}

// ofType says where conditions of a type stand.
func ofType(csr *certificatesv1.CertificateSigningRequest, t certificatesv1.RequestConditionType) []int {
	var at []int
	for i, c := range csr.Status.Conditions {
		if c.Type == t {
			at = append(at, i)
		}
	}
	return at
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
