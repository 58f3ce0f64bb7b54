package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/certificate"
	"k8s.io/klog/v2"
)

// identity is what a node's certificates say that it is: the user system:node:NAME
// of the group system:nodes.
func identity(name string) pkix.Name {
	return pkix.Name{CommonName: "system:node:" + name, Organization: []string{"system:nodes"}}
}

// Names of the pairs in the certificate folder; "-current.pem" links to the newest.
const (
	clientPair  = "kubelet-client"
	servingPair = "kubelet"
)

// Bootstrap makes sure that kubeconfig is there and valid. If not, it asks for a
// certificate with the credentials of bootstrapKubeconfig, waits until it is
// signed, keeps it in certDir, and writes kubeconfig to use it.
func Bootstrap(ctx context.Context, kubeconfig, bootstrapKubeconfig, certDir, name string) error {
	if usable(kubeconfig) {
		return nil
	}
	base, err := clientcmd.BuildConfigFromFlags("", bootstrapKubeconfig)
	if err != nil {
		return fmt.Errorf("bootstrap kubeconfig %q: %w", bootstrapKubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(base)
	if err != nil {
		return fmt.Errorf("bootstrap kubeconfig %q: %w", bootstrapKubeconfig, err)
	}
	store, err := certificate.NewFileStoreWithLogger(klog.FromContext(ctx), clientPair, certDir, certDir, "", "")
	if err != nil {
		return fmt.Errorf("certificate folder %q: %w", certDir, err)
	}
	if current, err := store.Current(); err != nil || !valid(current) {
		if err := request(ctx, client, store, certificatesv1.KubeAPIServerClientKubeletSignerName, identity(name)); err != nil {
			return fmt.Errorf("client certificate of the node: %w", err)
		}
	}
	return writeKubeconfig(base, kubeconfig, filepath.Join(certDir, clientPair+"-current.pem"))
}

// usable says whether a kubeconfig is there whose certificate, if it has one, is
// still valid.
func usable(kubeconfig string) bool {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if kubeconfig == "" || err != nil {
		return false
	}
	if config.CertFile == "" && len(config.CertData) == 0 {
		return true
	}
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return false
	}
	if tlsConfig.GetClientCertificate != nil {
		pair, err := tlsConfig.GetClientCertificate(&tls.CertificateRequestInfo{})
		return err == nil && valid(pair)
	}
	return len(tlsConfig.Certificates) > 0 && valid(&tlsConfig.Certificates[0])
}

func valid(pair *tls.Certificate) bool {
	if pair == nil || len(pair.Certificate) == 0 {
		return false
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	return err == nil && !certExpired(leaf)
}

func writeKubeconfig(base *rest.Config, path, pair string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["default-cluster"] = &clientcmdapi.Cluster{
		Server: base.Host, TLSServerName: base.ServerName, InsecureSkipTLSVerify: base.Insecure,
		CertificateAuthority: base.CAFile, CertificateAuthorityData: base.CAData,
	}
	config.AuthInfos["default-auth"] = &clientcmdapi.AuthInfo{ClientCertificate: pair, ClientKey: pair}
	config.Contexts["default-context"] = &clientcmdapi.Context{Cluster: "default-cluster", AuthInfo: "default-auth", Namespace: "default"}
	config.CurrentContext = "default-context"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("kubeconfig %q: %w", path, err)
	}
	return nil
}

// RotateClient renews the node's client certificate long before it ends, until ctx
// does. Clients made from the kubeconfig read the new one by themselves.
func RotateClient(ctx context.Context, client kubernetes.Interface, certDir, name string) error {
	store, err := certificate.NewFileStoreWithLogger(klog.FromContext(ctx), clientPair, certDir, certDir, "", "")
	if err != nil {
		return fmt.Errorf("certificate folder %q: %w", certDir, err)
	}
	if _, err := store.Current(); err != nil {
		return nil // the kubeconfig's credentials are someone else's to renew
	}
	manager, err := certificate.NewManager(&certificate.Config{
		ClientsetFn:      func(*tls.Certificate) (kubernetes.Interface, error) { return client, nil },
		Template:         &x509.CertificateRequest{Subject: identity(name)},
		SignerName:       certificatesv1.KubeAPIServerClientKubeletSignerName,
		GetUsages:        usages(certificatesv1.UsageClientAuth),
		CertificateStore: store,
		Ctx:              &ctx,
	})
	if err != nil {
		return fmt.Errorf("client certificate of the node: %w", err)
	}
	manager.Start()
	return nil
}

// Serving gets and renews the certificate of the kubelet's port from the cluster
// (serverTLSBootstrap) for the node's name and addresses, and returns where to get
// the current one.
func Serving(ctx context.Context, client kubernetes.Interface, certDir, name string, ips func() []net.IP) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	store, err := certificate.NewFileStoreWithLogger(klog.FromContext(ctx), "kubelet-server", certDir, certDir, "", "")
	if err != nil {
		return nil, fmt.Errorf("certificate folder %q: %w", certDir, err)
	}
	manager, err := certificate.NewManager(&certificate.Config{
		ClientsetFn: func(*tls.Certificate) (kubernetes.Interface, error) { return client, nil },
		GetTemplate: func() *x509.CertificateRequest {
			return &x509.CertificateRequest{Subject: identity(name), DNSNames: []string{name}, IPAddresses: ips()}
		},
		SignerName:       certificatesv1.KubeletServingSignerName,
		GetUsages:        usages(certificatesv1.UsageServerAuth),
		CertificateStore: store,
		Ctx:              &ctx,
	})
	if err != nil {
		return nil, fmt.Errorf("serving certificate of the node: %w", err)
	}
	manager.Start()
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if current := manager.Current(); current != nil {
			return current, nil
		}
		return nil, fmt.Errorf("no serving certificate available for the kubelet")
	}, nil
}

// SelfSigned returns the paths of the port's own certificate, made on first use.
func SelfSigned(certDir, name string, ips []net.IP) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(certDir, servingPair+".crt"), filepath.Join(certDir, servingPair+".key")
	if ok, err := certutil.CanReadCertAndKey(certFile, keyFile); ok || err != nil {
		return certFile, keyFile, err
	}
	cert, key, err := certutil.GenerateSelfSignedCertKey(name, ips, nil)
	if err != nil {
		return "", "", fmt.Errorf("serving certificate: %w", err)
	}
	if err := os.MkdirAll(certDir, 0o700); err != nil {
		return "", "", fmt.Errorf("serving certificate: %w", err)
	}
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		return "", "", fmt.Errorf("serving certificate: %w", err)
	}
	if err := os.WriteFile(certFile, cert, 0o644); err != nil {
		return "", "", fmt.Errorf("serving certificate: %w", err)
	}
	return certFile, keyFile, nil
}
