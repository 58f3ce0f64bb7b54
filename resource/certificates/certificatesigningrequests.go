package certificates

import (
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/septet-io/septet/resource"
)

// CertificateSigningRequests is all that the server knows about CertificateSigningRequests.
func CertificateSigningRequests() *resource.Kind {
	return resource.Define(resource.Definition[*certificatesv1.CertificateSigningRequest]{
		Group: "certificates.k8s.io", Version: "v1", Kind: "CertificateSigningRequest", Plural: "certificatesigningrequests",
		Short: []string{"csr"}, Scope: resource.Cluster,
		PrepareCreate: prepare, PrepareUpdate: prepareUpdate,
		Validate:     validateRequest,
		ValidateName: func(string, bool) []string { return nil },
		Views: []resource.View[*certificatesv1.CertificateSigningRequest]{
			{Name: "approval", Prepare: prepareApproval, Validate: validateApproval},
			{Name: "status", Prepare: prepareStatus, Validate: validateStatus},
		},
		Fields: []resource.Field[*certificatesv1.CertificateSigningRequest]{
			{Name: "spec.signerName", Value: func(c *certificatesv1.CertificateSigningRequest) string { return c.Spec.SignerName }},
		},
		Columns: columns(),
	})
}

func columns() []resource.Column[*certificatesv1.CertificateSigningRequest] {
	doc := certificatesv1.CertificateSigningRequestSpec{}.SwaggerDoc()
	return []resource.Column[*certificatesv1.CertificateSigningRequest]{
		resource.Name[*certificatesv1.CertificateSigningRequest](),
		resource.Age[*certificatesv1.CertificateSigningRequest](),
		resource.Text("SignerName", doc["signerName"], func(c *certificatesv1.CertificateSigningRequest) string { return c.Spec.SignerName }),
		resource.Text("Requestor", doc["request"], func(c *certificatesv1.CertificateSigningRequest) string { return c.Spec.Username }),
		resource.Text("RequestedDuration", doc["expirationSeconds"], func(c *certificatesv1.CertificateSigningRequest) string {
			if c.Spec.ExpirationSeconds == nil {
				return "<none>"
			}
			return duration.HumanDuration(time.Duration(*c.Spec.ExpirationSeconds) * time.Second)
		}),
		resource.Text("Condition", certificatesv1.CertificateSigningRequestStatus{}.SwaggerDoc()["conditions"], condition),
	}
}

// condition says how far a request has come: the verdict, then failure, then whether there is a certificate.
func condition(csr *certificatesv1.CertificateSigningRequest) string {
	has := func(t certificatesv1.RequestConditionType) bool {
		return slices.ContainsFunc(csr.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == t })
	}
	var words []string
	switch {
	case has(certificatesv1.CertificateDenied):
		words = append(words, "Denied")
	case has(certificatesv1.CertificateApproved):
		words = append(words, "Approved")
	default:
		words = append(words, "Pending")
	}
	if has(certificatesv1.CertificateFailed) {
		words = append(words, "Failed")
	}
	if len(csr.Status.Certificate) > 0 {
		words = append(words, "Issued")
	}
	return strings.Join(words, ",")
}
