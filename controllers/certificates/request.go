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
		return errors.New("subject organization is not system:nodes")
	case len(request.DNSNames)+len(request.IPAddresses)+len(request.EmailAddresses)+len(request.URIs) > 0:
		return errors.New("subject alternative names are not allowed")
	case !strings.HasPrefix(request.Subject.CommonName, nodeUser):
		return errors.New("subject common name does not begin with system:node:")
	}
	return onlyUsages(usages, certificatesv1.UsageClientAuth)
}

// nodeServing says why a request is not one for a kubelet's serving certificate.
func nodeServing(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(request.Subject.Organization, []string{nodesGroup}):
		return errors.New("subject organization is not system:nodes")
	case len(request.DNSNames)+len(request.IPAddresses) == 0:
		return errors.New("at least one DNS name or IP address is required")
	case len(request.EmailAddresses)+len(request.URIs) > 0:
		return errors.New("only DNS and IP subject alternative names are allowed")
	case !strings.HasPrefix(request.Subject.CommonName, nodeUser):
		return errors.New("subject common name does not begin with system:node:")
	}
	return onlyUsages(usages, certificatesv1.UsageServerAuth)
}

// onlyUsages allows the needed usage, digital signature and key encipherment.
func onlyUsages(usages []certificatesv1.KeyUsage, needed certificatesv1.KeyUsage) error {
	if !slices.Contains(usages, needed) || !slices.Contains(usages, certificatesv1.UsageDigitalSignature) {
		return fmt.Errorf("usages must include %s and digital signature", needed)
	}
	for _, usage := range usages {
		if usage != needed && usage != certificatesv1.UsageDigitalSignature && usage != certificatesv1.UsageKeyEncipherment {
			return fmt.Errorf("usage %s is not allowed", usage)
		}
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
