package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

// minDuration is the shortest validity that may be asked for, in seconds.
const minDuration = 600

var usages = []certificatesv1.KeyUsage{
	certificatesv1.UsageAny, certificatesv1.UsageCertSign, certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning,
	certificatesv1.UsageContentCommitment, certificatesv1.UsageCRLSign, certificatesv1.UsageDataEncipherment, certificatesv1.UsageDecipherOnly,
	certificatesv1.UsageDigitalSignature, certificatesv1.UsageEmailProtection, certificatesv1.UsageEncipherOnly, certificatesv1.UsageIPsecEndSystem,
	certificatesv1.UsageIPsecTunnel, certificatesv1.UsageIPsecUser, certificatesv1.UsageKeyAgreement, certificatesv1.UsageKeyEncipherment,
	certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC, certificatesv1.UsageOCSPSigning, certificatesv1.UsageSMIME,
	certificatesv1.UsageServerAuth, certificatesv1.UsageSigning, certificatesv1.UsageTimestamping,
}

func validateRequest(_ *resource.Request, csr *certificatesv1.CertificateSigningRequest) field.ErrorList {
	spec := &csr.Spec
	var errs field.ErrorList
	if err := parseRequest(spec.Request); err != nil {
		errs = append(errs, field.Invalid(specPath.Child("request"), spec.Request, err.Error()))
	}
	if len(spec.Usages) == 0 {
		errs = append(errs, field.Required(specPath.Child("usages"), ""))
	}
	for i, usage := range spec.Usages {
		at := specPath.Child("usages").Index(i)
		if !slices.Contains(usages, usage) {
			errs = append(errs, field.NotSupported(at, usage, slices.Sorted(slices.Values(usages))))
		}
		if slices.Contains(spec.Usages[:i], usage) {
			errs = append(errs, field.Duplicate(at, usage))
		}
	}
	if spec.SignerName == "kubernetes.io/legacy-unknown" {
		errs = append(errs, field.Invalid(specPath.Child("signerName"), spec.SignerName, "the legacy signerName is not allowed via this API version"))
	} else {
		errs = append(errs, signerName(spec.SignerName, specPath.Child("signerName"))...)
	}
	if s := spec.ExpirationSeconds; s != nil && *s < minDuration {
		errs = append(errs, field.Invalid(specPath.Child("expirationSeconds"), *s, "may not specify a duration less than 600 seconds (10 minutes)"))
	}
	return append(errs, conditions(csr.Status.Conditions)...)
}

func parseRequest(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	_, err := x509.ParseCertificateRequest(block.Bytes)
	return err
}

// signerName is a domain and a name in it.
func signerName(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	domain, path, ok := strings.Cut(name, "/")
	if !ok || strings.Contains(path, "/") {
		return field.ErrorList{field.Invalid(at, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")}
	}
	var errs field.ErrorList
	part := func(value string) {
		for _, m := range validation.IsDNS1123Subdomain(value) {
			errs = append(errs, field.Invalid(at, value, fmt.Sprintf("validating label %q: %s", value, m)))
		}
	}
	part(domain)
	if !strings.Contains(domain, ".") {
		errs = append(errs, field.Invalid(at, domain, "should be a domain with at least two segments separated by dots"))
	}
	part(path)
	return errs
}

// issued checks a chain of certificates; an empty one is not issued yet.
func issued(chain []byte) error {
	if len(chain) == 0 {
		return nil
	}
	found := false
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		}
		if len(block.Headers) > 0 {
			return errors.New("no PEM block headers are permitted")
		}
		if _, err := x509.ParseCertificates(block.Bytes); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return errors.New("must contain at least one CERTIFICATE PEM block")
	}
	return nil
}

// validateStatus is validateApproval without the right to give a verdict.
func validateStatus(r *resource.Request, csr, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	errs := validateApproval(r, csr, old)
	for _, t := range []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied} {
		if len(ofType(csr, t)) > len(ofType(old, t)) {
			errs = append(errs, field.Forbidden(statusPath.Child("conditions"), fmt.Sprintf("updates may not add a condition of type %q", t)))
		}
	}
	return errs
}

func validateApproval(_ *resource.Request, csr, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	at := statusPath.Child("certificate")
	errs := conditions(csr.Status.Conditions)
	errs = append(errs, conditionsUpdate(csr, old)...)
	if before := old.Status.Certificate; !bytes.Equal(before, csr.Status.Certificate) {
		if len(before) > 0 {
			errs = append(errs, field.Forbidden(at, "updates may not modify existing certificate content"))
		}
		if err := issued(csr.Status.Certificate); err != nil {
			errs = append(errs, field.Invalid(at, "<certificate data>", err.Error()))
		}
	}
	return errs
}
