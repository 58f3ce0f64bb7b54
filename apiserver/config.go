package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store/encrypt"
	"github.com/septet-io/septet/journal"
)

// Config says how a server runs. Etcd, Listener and GetCertificate are needed; for the rest the zero value is upstream's default.
type Config struct {
	// Etcd is the store's client, in-process or remote; the server does not close it.
	Etcd *clientv3.Client
	// EtcdRevision, if given, returns etcd's current revision more cheaply than a read through Etcd.
	EtcdRevision func(context.Context) (int64, error)
	// EtcdDedicated says that nobody else keeps many keys in this etcd.
	EtcdDedicated bool
	// EtcdPrefix of all keys; "/registry" if empty.
	EtcdPrefix string
	// CompactEvery is how much history etcd keeps; 5 minutes if zero, negative: all.
	CompactEvery time.Duration

	// LeaseReuse is how long events may share a lease of etcd; a minute if zero.
	LeaseReuse time.Duration
	// HealthTimeout and ReadyTimeout are how long etcd may take to answer the checks "etcd" and "etcd-readiness"; 2 s if zero.
	HealthTimeout, ReadyTimeout time.Duration
	// StoreJSON keeps objects in etcd as JSON; either form is read.
	StoreJSON bool
	// DeleteWorkers is how many objects of a collection are deleted at a time; 1 if zero.
	DeleteWorkers int
	// AllowPrivileged lets containers be privileged.
	AllowPrivileged bool

	// Encryption of objects at rest; nil: as they are.
	Encryption *encrypt.Set
	// ReloadEncryption reads its file again whenever that changes.
	ReloadEncryption bool

	// Listener is served with TLS; the server closes it. Nil: only in-process clients.
	Listener net.Listener
	// GetCertificate is the serving certificate, asked for each connection so that it may change.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ClientCA are the authorities of client certificates; nil: none are asked for.
	ClientCA func() (*x509.CertPool, error)

	// Authenticator finds out who asks. Nil: client certificates alone.
	Authenticator request.Authenticator
	// Authorizer decides. Nil: members of system:masters may do everything, others nothing.
	Authorizer request.Authorizer
	// Admission plug-ins in running order.
	Admission []admission.Plugin

	// Audit notes requests; may be nil.
	Audit request.Auditor
	// Tracer makes spans of requests; may be nil.
	Tracer request.Tracer
	// Flow decides when a request may run; nil: at once.
	Flow request.Flow

	// Journal keeps what was written; nil: one of the default size.
	Journal *journal.Ring

	// Metrics are shown together with the server's own: those of other components in this process.
	Metrics []prometheus.Gatherer

	// RequestTimeout bounds requests that do not run long by nature; 60 s if zero.
	RequestTimeout time.Duration
	// MinWatch is the least time after which a watch without a timeout ends; 30 minutes if zero.
	MinWatch time.Duration
	// GoAwayChance is how likely a request over HTTP/2 makes its client connect again (0 to 0.02), so that load spreads after a restart.
	GoAwayChance float64
	// TLS has the least version and the cipher suites, if set.
	TLS *tls.Config
	// DisabledMetrics are names of metrics that are not shown.
	DisabledMetrics []string
	// Hidden are built-in resources that clients are not served. The server itself, and who asks in its process, goes on using them.
	Hidden map[schema.GroupVersionResource]bool
	// NoHTTP2 serves HTTP/1.1 alone.
	NoHTTP2 bool
	// StrictTransport is the header Strict-Transport-Security of all answers; empty: none.
	StrictTransport string
	// MaxStreams bounds the requests at a time over one connection; 1000 if zero.
	MaxStreams int
	// ShutdownDelay is how long the server goes on, not ready, before it refuses connections.
	ShutdownDelay time.Duration
	// ShutdownSendRetryAfter keeps the port open while requests under way end, and answers new ones with 429 and Retry-After.
	ShutdownSendRetryAfter bool
	// LivezGrace is how long after its start the server counts as alive though it is not ready.
	LivezGrace time.Duration
	// AllowOrigins are regular expressions of browsers' origins that may read answers (CORS).
	AllowOrigins []string
	// Paths serves further paths that are no resources: exact ones, or all below one that ends with a slash.
	Paths map[string]http.Handler
}

const (
	defaultRequestTimeout = 60 * time.Second
	defaultMaxStreams     = 1000
)
