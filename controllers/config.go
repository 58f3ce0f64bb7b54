package controllers

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/persistentvolume"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Config is all that the kube-controller-manager can be told. Clients alone must be set; the zero value of
// everything else is upstream's default.
type Config struct {
	// Clients is how the component reads and writes. Its informers are started by Run.
	Clients *client.Set
	// As returns the Set under which the controller with that service account (in kube-system) works: the same
	// informers, another identity. Nil: all work as Clients.
	As func(account string) (*client.Set, error)
	// Election, when not nil, makes the controllers run only while this process holds the Lease.
	Election *reconcile.Election
	Journal  *journal.Ring
	// Metrics takes the collectors of the component; nil registers none.
	Metrics prometheus.Registerer

	// Controllers selects which ones run: names, "*" for all that are on by default, "-name" for not that one.
	Controllers []string
	// Workers overrides, by controller name, how many keys are reconciled at the same time.
	Workers map[string]int

	// ClusterName is the name of the cluster for cloud providers and node CIDRs; "kubernetes" if empty.
	ClusterName string
	// RootCAFile is the CA bundle that is published to every namespace as kube-root-ca.crt.
	RootCAFile string
	// RootCA is the bundle itself, in PEM, for processes that have it in memory; it wins over RootCAFile.
	RootCA []byte
	// ServiceAccountKeyFile is the private key (PEM) that signs the tokens in Secrets of type service-account-token.
	ServiceAccountKeyFile string

	Signing Signing
	Nodes   Nodes
	Volumes Volumes
	HPA     HPA

	// TerminatedPodThreshold is how many ended Pods may exist before the oldest are deleted; 12500 if 0, no limit if negative.
	TerminatedPodThreshold int
	// LegacyTokenCleanUp is how long an unused token Secret lives before it is invalidated, and then deleted; a year if 0.
	LegacyTokenCleanUp time.Duration
	// Endpoints bounds the slices of Services.
	Endpoints Endpoints
}

// Signing is what certificate signing requests are signed with (--cluster-signing-*).
type Signing struct {
	// CertFile and KeyFile are the authority for all signers that have none of their own, in PEM.
	CertFile, KeyFile string
	// Signers are authorities by signer name, for example "kubernetes.io/kubelet-serving".
	Signers map[string]KeyPair
	// ApproveServing approves kubelets' serving certificates whose names and addresses are all the node's; upstream never does.
	ApproveServing bool
	// Duration is the longest validity of a signed certificate; a year if 0.
	Duration time.Duration
}

// KeyPair names the files of a certificate and its key, in PEM.
type KeyPair struct{ CertFile, KeyFile string }

// Nodes is what concerns nodes: their address ranges and how soon a silent one counts as lost.
type Nodes struct {
	AllocateCIDRs bool
	// ClusterCIDRs are the ranges that nodes' Pod CIDRs are cut from: one a family.
	ClusterCIDRs []string
	// ServiceCIDRs are left out of them where they overlap.
	ServiceCIDRs []string
	// MaskSizeIPv4 and MaskSizeIPv6 are the sizes of a node's range; 24 and 64 if 0.
	MaskSizeIPv4, MaskSizeIPv6 int
	// MonitorGracePeriod is how long a node may be silent before it counts as unhealthy; 50 s if 0.
	MonitorGracePeriod time.Duration
	// StartupGracePeriod is the same for a node that never was heard of; 60 s if 0.
	StartupGracePeriod time.Duration
	// EvictionRate and SecondaryEvictionRate are nodes per second that are tainted in a healthy and an unhealthy zone; 0.1 and 0.01 if 0.
	EvictionRate, SecondaryEvictionRate float64
	// UnhealthyZoneThreshold is the fraction of unhealthy nodes that makes a zone unhealthy; 0.55 if 0.
	UnhealthyZoneThreshold float64
	// LargeClusterSize is up to how many nodes a zone counts as small: an unhealthy small zone evicts nothing; 50 if 0.
	LargeClusterSize int
}

// Volumes is what concerns persistent volumes.
type Volumes struct {
	// DynamicProvisioning of the built-in provisioners is off if this is true.
	NoDynamicProvisioning bool
	// HostPathProvisioner lets claims of class kubernetes.io/host-path be served; for tests.
	HostPathProvisioner bool
	// Provisioners make volumes in this process, for classes that name them.
	Provisioners []persistentvolume.Provisioner
	// AttachReconcileMaxWait is how long a volume that is still mounted is waited for before it is detached by force; 6 min if 0.
	AttachReconcileMaxWait time.Duration
}

// Endpoints is what concerns the endpoints of Services.
type Endpoints struct {
	// MaxPerSlice is the most endpoints in a slice; 100 if 0. MaxPerMirroredSubset is the same for mirrored ones; 1000 if 0.
	MaxPerSlice, MaxPerMirroredSubset int
	// BatchPeriod is how long Pod changes are collected before a Service's endpoints are written; at once if 0.
	BatchPeriod time.Duration
	// ObjectBatchPeriod is the same for Endpoints objects, MirrorBatchPeriod for slices that are copied from such.
	ObjectBatchPeriod, MirrorBatchPeriod time.Duration
}

// HPA is what the horizontal pod autoscaler goes by.
type HPA struct {
	// SyncPeriod is how often metrics are looked at; 15 s if 0.
	SyncPeriod time.Duration
	// Tolerance is the change of the ratio from 1 that is ignored; 0.1 if 0.
	Tolerance float64
	// DownscaleStabilization is how long the highest recommendation holds; 5 min if 0.
	DownscaleStabilization time.Duration
	// CPUInitializationPeriod and InitialReadinessDelay are how long a starting Pod's CPU and readiness are not
	// trusted; 5 min and 30 s if 0.
	CPUInitializationPeriod, InitialReadinessDelay time.Duration
}

// rootCA returns the bundle to publish in PEM; empty if there is none.
func (c *Config) rootCA() ([]byte, error) {
	if len(c.RootCA) > 0 || c.RootCAFile == "" {
		return c.RootCA, nil
	}
	bundle, err := os.ReadFile(c.RootCAFile)
	if err != nil {
		return nil, fmt.Errorf("root CA: %w", err)
	}
	return bundle, nil
}

// terminatedPods returns how many ended Pods may exist; 0 for any number.
func (c *Config) terminatedPods() int {
	if c.TerminatedPodThreshold == 0 {
		return 12500
	}
	return max(0, c.TerminatedPodThreshold)
}

// tokenMaterial returns the key that signs tokens in Secrets, empty if there is none, and the bundle that goes with them.
func (c *Config) tokenMaterial() (key, bundle []byte, err error) {
	if c.ServiceAccountKeyFile == "" {
		return nil, nil, nil
	}
	if key, err = os.ReadFile(c.ServiceAccountKeyFile); err != nil {
		return nil, nil, fmt.Errorf("service account private key: %w", err)
	}
	bundle, err = c.rootCA()
	return key, bundle, err
}
