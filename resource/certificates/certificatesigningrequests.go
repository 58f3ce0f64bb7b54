package certificates

import (
	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/septet-io/septet/resource"
)

// CertificateSigningRequests is all that the server knows about CertificateSigningRequests.
func CertificateSigningRequests() *resource.Kind {
	return resource.Define(resource.Definition[*certificatesv1.CertificateSigningRequest]{
		Group: "certificates.k8s.io", Version: "v1", Kind: "CertificateSigningRequest", Plural: "certificatesigningrequests",
		Short: []string{"csr"}, Scope: resource.Cluster,
		Views:         []resource.View[*certificatesv1.CertificateSigningRequest]{{Name: "approval", Prepare: prepareApproval}, {Name: "status", Prepare: prepareStatus}},
		PrepareCreate: prepare, PrepareUpdate: prepareUpdate,
		ValidateName: func(string, bool) []string { return nil },
		Fields: []resource.Field[*certificatesv1.CertificateSigningRequest]{
			{Name: "spec.signerName", Value: func(c *certificatesv1.CertificateSigningRequest) string { return c.Spec.SignerName }},
		},
	})
}
