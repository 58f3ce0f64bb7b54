package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/septet-io/septet/pki"
)

// clusterMap is the ConfigMap in kube-system from which a joining node learns what the cluster is like.
const clusterMap = "septet-cluster"

// clusterFacts are what a node must know of its cluster.
type clusterFacts struct{ dns, domain, podRange string }

func (o *Options) facts() clusterFacts {
	return clusterFacts{dns: o.ClusterDNS, domain: o.ClusterDomain, podRange: o.ClusterCIDR}
}

// publishFacts lets nodes, joined or joining, read what the cluster is like.
func publishFacts(ctx context.Context, api kubernetes.Interface, f clusterFacts) error {
	data := map[string]string{"clusterDNS": f.dns, "clusterDomain": f.domain, "clusterCIDR": f.podRange}
	configs := api.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	meta := metav1.ObjectMeta{Name: clusterMap, Namespace: metav1.NamespaceSystem}
	have, err := configs.Get(ctx, clusterMap, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = configs.Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: data}, metav1.CreateOptions{})
	case err == nil && !equality.Semantic.DeepEqual(have.Data, data):
		changed := have.DeepCopy()
		changed.Data = data
		_, err = configs.Update(ctx, changed, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	_, err = api.RbacV1().Roles(meta.Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{clusterMap}, Verbs: []string{"get"}},
	}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = api.RbacV1().RoleBindings(meta.Namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: []rbacv1.Subject{group("system:nodes"), group("system:bootstrappers:septet:nodes")},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: clusterMap},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func readFacts(ctx context.Context, api kubernetes.Interface) (clusterFacts, error) {
	have, err := api.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, clusterMap, metav1.GetOptions{})
	if err != nil {
		return clusterFacts{}, fmt.Errorf("facts about the cluster: %w", err)
	}
	return clusterFacts{dns: have.Data["clusterDNS"], domain: have.Data["clusterDomain"], podRange: have.Data["clusterCIDR"]}, nil
}

// fetchAuthority asks a server for its chain of certificates and returns the authority that has the pin, in PEM, if the chain is
// really signed by it.
func fetchAuthority(ctx context.Context, server, pin string) ([]byte, error) {
	target, err := url.Parse(server)
	if err != nil || target.Scheme != "https" || target.Host == "" {
		return nil, fmt.Errorf("--server %q: must be like https://HOST:6443", server)
	}
	address := target.Host
	if target.Port() == "" {
		address = net.JoinHostPort(target.Hostname(), "443")
	}
	var found []byte
	config := &tls.Config{
		InsecureSkipVerify: true, // the pin is what is verified, below
		ServerName:         target.Hostname(), MinVersion: tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error {
			for _, certificate := range state.PeerCertificates {
				block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
				hash, err := pki.PublicKeyHash(block)
				if err != nil || hash != pin {
					continue
				}
				roots := x509.NewCertPool()
				roots.AddCert(certificate)
				if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: target.Hostname()}); err != nil {
					return err
				}
				found = block
				return nil
			}
			return errors.New("its authority is not the one that the token names")
		},
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", server, err)
	}
	return found, conn.Close()
}

// writeBootstrap writes the kubeconfig with which a node asks for its first certificate.
func writeBootstrap(file, server string, authority []byte, token joinToken) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[adminContext] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos[adminContext] = &clientcmdapi.AuthInfo{Token: token.bearer()}
	config.Contexts[adminContext] = &clientcmdapi.Context{Cluster: adminContext, AuthInfo: adminContext}
	config.CurrentContext = adminContext
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return pki.WriteFile(file, data, 0o600)
}

// joined says whether a node has a certificate of its own already, for this server.
func joined(kubeconfig, server string) bool {
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return false
	}
	for _, cluster := range config.Clusters {
		if cluster.Server == server {
			_, err := os.Stat(kubeconfig)
			return err == nil
		}
	}
	return false
}
