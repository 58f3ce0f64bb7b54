package certificates

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	csr := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: "example/a", ExpirationSeconds: ptr.To[int32](1), Usages: []certificatesv1.KeyUsage{"any", "any"},
	}}
	expect(t, validateRequest(nil, csr),
		`spec.request: Invalid value: null: PEM block type must be CERTIFICATE REQUEST`,
		`spec.usages[1]: Duplicate value: "any"`,
		`spec.signerName: Invalid value: "example": should be a domain with at least two segments separated by dots`,
		"spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 600 seconds (10 minutes)")
	for name, want := range map[string]string{
		"":                "signerName: Required value",
		"plain":           `signerName: Invalid value: "plain": must be a fully qualified domain and path of the form 'example.com/signer-name'`,
		"example.com/a/b": `signerName: Invalid value: "example.com/a/b": must be a fully qualified domain and path of the form 'example.com/signer-name'`,
	} {
		expect(t, signerName(name, field.NewPath("signerName")), want)
	}
}

func TestVerdictsAreFinal(t *testing.T) {
	t.Parallel()
	csr := func(types ...certificatesv1.RequestConditionType) *certificatesv1.CertificateSigningRequest {
		c := &certificatesv1.CertificateSigningRequest{}
		for _, kind := range types {
			c.Status.Conditions = append(c.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: corev1.ConditionTrue})
		}
		return c
	}
	expect(t, validateApproval(nil, csr("Approved"), csr()))
	expect(t, validateStatus(nil, csr("Approved"), csr()), `status.conditions: Forbidden: updates may not add a condition of type "Approved"`)
	expect(t, validateApproval(nil, csr("Approved", "Denied"), csr("Approved")),
		`status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive`)
	expect(t, validateApproval(nil, csr(), csr("Approved")), `status.conditions: Forbidden: updates may not remove a condition of type "Approved"`)
	unsure := csr("Approved")
	unsure.Status.Conditions[0].Status = corev1.ConditionFalse
	expect(t, validateApproval(nil, unsure, csr()), `status.conditions[0].status: Unsupported value: "False": supported values: "True"`)
	old, now := csr(), csr()
	old.Status.Certificate, now.Status.Certificate = []byte("a"), []byte("b")
	expect(t, validateStatus(nil, now, old),
		"status.certificate: Forbidden: updates may not modify existing certificate content",
		`status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block`)
}

// An approver may say more than the verdict, and annotate; who writes the status may not touch the verdict.
// conformance: CertificateSigningRequest API
func TestWhoSaysWhat(t *testing.T) {
	t.Parallel()
	say := func(csr *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType, reason string) {
		csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason})
	}
	reasons := func(csr *certificatesv1.CertificateSigningRequest) string {
		text := ""
		for _, c := range csr.Status.Conditions {
			text += string(c.Type) + ":" + c.Reason + " "
		}
		return text
	}
	r := &resource.Request{}
	old, next := &certificatesv1.CertificateSigningRequest{}, &certificatesv1.CertificateSigningRequest{}
	say(next, "Checked", "e2e")
	say(next, certificatesv1.CertificateApproved, "e2e")
	next.Annotations, next.Status.Certificate = map[string]string{"by": "me"}, []byte("smuggled")
	prepareApproval(r, next, old)
	if got := reasons(next); got != "Checked:e2e Approved:e2e " || next.Annotations["by"] != "me" || next.Status.Certificate != nil {
		t.Errorf("approved: %s%v %s", got, next.Annotations, next.Status.Certificate)
	}
	old = next.DeepCopy()
	next.Status.Conditions[1].Reason, next.Status.Certificate = "forged", []byte("issued")
	say(next, "Issued", "e2e")
	prepareStatus(r, next, old)
	if got := reasons(next); got != "Checked:e2e Approved:e2e Issued:e2e " || string(next.Status.Certificate) != "issued" {
		t.Errorf("issued: %s%s", got, next.Status.Certificate)
	}
}
