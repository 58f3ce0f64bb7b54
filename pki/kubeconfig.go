package pki

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// EnsureKubeconfig makes or renews a kubeconfig file (0600) with a client certificate in it, as Ensure does for pairs.
// server is a URL. name names its cluster, user and context.
func (a *Authority) EnsureKubeconfig(file, server, name string, leaf Leaf) (renewed bool, err error) {
	if a.kubeconfigFits(file, server, name, leaf) {
		return false, nil
	}
	leaf.Client = true
	certPEM, key, err := a.Issue(leaf)
	if err != nil {
		return false, err
	}
	config, err := Kubeconfig(server, name, a.PEM, certPEM, key)
	if err != nil {
		return false, err
	}
	data, err := clientcmd.Write(*config)
	if err != nil {
		return false, err
	}
	return true, WriteFile(file, data, 0o600)
}

// Kubeconfig builds a kubeconfig with one cluster, user and context, all of the given name.
func Kubeconfig(server, name string, authority, certPEM []byte, key *ecdsa.PrivateKey) (*clientcmdapi.Config, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: certPEM,
		ClientKeyData:         pem.EncodeToMemory(&pem.Block{Type: keyutil.ECPrivateKeyBlockType, Bytes: der}),
	}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return config, nil
}

func (a *Authority) kubeconfigFits(file, server, name string, leaf Leaf) bool {
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		return false
	}
	cluster, user := config.Clusters[name], config.AuthInfos[name]
	if cluster == nil || user == nil || cluster.Server != server {
		return false
	}
	certs, err := cert.ParseCertsPEM(user.ClientCertificateData)
	if err != nil {
		return false
	}
	have := certs[0]
	third := have.NotAfter.Sub(have.NotBefore) / 3
	return time.Until(have.NotAfter) >= third && have.CheckSignatureFrom(a.Certificate) == nil &&
		have.Subject.CommonName == leaf.CommonName && sameSet(have.Subject.Organization, leaf.Organizations)
}

// MergeKubeconfig puts the cluster, user and context called name of one kubeconfig file into another, which is
// made (0600) if it is not there; nothing else in it is touched. The current context is set only if there was none.
func MergeKubeconfig(from, into, name string) error {
	source, err := clientcmd.LoadFromFile(from)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", from, err)
	}
	target, err := clientcmd.LoadFromFile(into)
	if os.IsNotExist(err) {
		target, err = clientcmdapi.NewConfig(), nil
	}
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", into, err)
	}
	same := reflect.DeepEqual(withoutOrigin(target.Clusters[name]), withoutOrigin(source.Clusters[name])) &&
		target.AuthInfos[name] != nil && string(target.AuthInfos[name].ClientCertificateData) == string(source.AuthInfos[name].ClientCertificateData)
	if same && target.Contexts[name] != nil {
		return nil
	}
	target.Clusters[name], target.AuthInfos[name], target.Contexts[name] = source.Clusters[name], source.AuthInfos[name], source.Contexts[name]
	if target.CurrentContext == "" {
		target.CurrentContext = name
	}
	return writeKubeconfig(into, target)
}

// RemoveFromKubeconfig takes out what MergeKubeconfig put in; a file that is left without any cluster is removed.
func RemoveFromKubeconfig(file, name string) error {
	config, err := clientcmd.LoadFromFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", file, err)
	}
	if config.Clusters[name] == nil && config.AuthInfos[name] == nil && config.Contexts[name] == nil {
		return nil
	}
	delete(config.Clusters, name)
	delete(config.AuthInfos, name)
	delete(config.Contexts, name)
	if config.CurrentContext == name {
		config.CurrentContext = ""
	}
	if len(config.Clusters)+len(config.AuthInfos)+len(config.Contexts) == 0 {
		return os.Remove(file)
	}
	return writeKubeconfig(file, config)
}

func withoutOrigin(cluster *clientcmdapi.Cluster) *clientcmdapi.Cluster {
	if cluster == nil {
		return nil
	}
	bare := cluster.DeepCopy()
	bare.LocationOfOrigin = ""
	return bare
}

func writeKubeconfig(file string, config *clientcmdapi.Config) error {
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", file, err)
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real // replace what a link points to, not the link
	}
	return WriteFile(file, data, 0o600)
}
