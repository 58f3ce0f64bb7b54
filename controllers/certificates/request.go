// Package certificates answers CertificateSigningRequests: it approves those of kubelets, signs what is approved for the
// signers of the cluster, and removes old requests.
package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
)

// parse reads the request that a CertificateSigningRequest carries and checks its signature.
func parse(csr *certificatesv1.CertificateSigningRequest) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(csr.Spec.Request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	return request, request.CheckSignature()
}

func conditionOf(csr *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) bool {
	return slices.ContainsFunc(csr.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == kind })
}

func decided(csr *certificatesv1.CertificateSigningRequest) bool {
	return conditionOf(csr, certificatesv1.CertificateApproved) || conditionOf(csr, certificatesv1.CertificateDenied)
}

const (
	nodeUser   = "system:node:"
	nodesGroup = "system:nodes"
)

// nodeClient says why a request is not one for a kubelet's client certificate; nil if it is.
func nodeClient(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(request.Subject.Organization, []string{nodesGroup}):
		return errOrganization
	case len(request.DNSNames) > 0:
		return errors.New("DNS subjectAltNames are not allowed")
	case len(request.IPAddresses) > 0:
		return errors.New("IP subjectAltNames are not allowed")
	}
	if err := plainNames(request); err != nil {
		return err
	}
	return nodeUsages(usages, certificatesv1.UsageClientAuth)
}

// nodeServing says why a request is not one for a kubelet's serving certificate.
func nodeServing(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(request.Subject.Organization, []string{nodesGroup}):
		return errOrganization
	case len(request.DNSNames)+len(request.IPAddresses) == 0:
		return errors.New("DNS or IP subjectAltName is required")
	}
	if err := plainNames(request); err != nil {
		return err
	}
	return nodeUsages(usages, certificatesv1.UsageServerAuth)
}

var errOrganization = errors.New("subject organization is not system:nodes")

// plainNames refuses what no certificate of a kubelet may have.
func plainNames(request *x509.CertificateRequest) error {
	switch {
	case len(request.EmailAddresses) > 0:
		return errors.New("Email subjectAltNames are not allowed")
	case len(request.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	case !strings.HasPrefix(request.Subject.CommonName, nodeUser):
		return errors.New("subject common name does not begin with system:node:")
	}
	return nil
}

// nodeUsages wants the needed usage and digital signature; key encipherment, which only RSA has a use for, may be beside them.
func nodeUsages(usages []certificatesv1.KeyUsage, needed certificatesv1.KeyUsage) error {
	all := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, needed}
	slices.Sort(all)
	other := func(usage certificatesv1.KeyUsage) bool { return !slices.Contains(all, usage) }
	if slices.ContainsFunc(usages, other) || !slices.Contains(usages, needed) || !slices.Contains(usages, certificatesv1.UsageDigitalSignature) {
		return fmt.Errorf("usages did not match %v", all)
	}
	return nil
}

// clientUsages wants client auth; digital signature and key encipherment may be beside it.
func clientUsages(usages []certificatesv1.KeyUsage) error {
	for _, usage := range usages {
		switch usage {
		case certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment:
		default:
			return fmt.Errorf("invalid usage for client certificate: %s", usage)
		}
	}
	if !slices.Contains(usages, certificatesv1.UsageClientAuth) {
		return fmt.Errorf("missing required usage for client certificate: %s", certificatesv1.UsageClientAuth)
	}
	return nil
}

// ownNames says which name or address in a serving request is not the node's.
func ownNames(request *x509.CertificateRequest, node *corev1.Node) error {
	known := map[string]bool{node.Name: true}
	for _, address := range node.Status.Addresses {
		known[address.Address] = true
	}
	for _, name := range request.DNSNames {
		if !known[name] {
			return fmt.Errorf("%s is not a name of node %s", name, node.Name)
		}
	}
	for _, ip := range request.IPAddresses {
		if !known[ip.String()] {
			return fmt.Errorf("%s is not an address of node %s", ip, node.Name)
		}
	}
	return nil
}
