package kubelet

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/daemon/gates"
)

// conf keeps the rows below short.
type conf = kubeletconfig.KubeletConfiguration

// row is a flag that stands for a field of the configuration file.
type row struct {
	name string
	// apply puts the flag's value into a configuration.
	apply func(*conf) error
}

// table adds flags and remembers what each stands for.
type table struct {
	flags *pflag.FlagSet
	rows  []row
}

func (t *table) row(name string, apply func(*conf)) {
	t.rows = append(t.rows, row{name, func(c *conf) error { apply(c); return nil }})
}

func (t *table) text(name, usage string, set func(*conf, string)) {
	v := t.flags.String(name, "", usage)
	t.row(name, func(c *conf) { set(c, *v) })
}

func (t *table) yes(name, usage string, set func(*conf, bool)) {
	v := t.flags.Bool(name, false, usage)
	t.row(name, func(c *conf) { set(c, *v) })
}

func (t *table) number(name, usage string, set func(*conf, int32)) {
	v := t.flags.Int32(name, 0, usage)
	t.row(name, func(c *conf) { set(c, *v) })
}

func (t *table) long(name, usage string, set func(*conf, int64)) {
	v := t.flags.Int64(name, 0, usage)
	t.row(name, func(c *conf) { set(c, *v) })
}

func (t *table) time(name, usage string, set func(*conf, metav1.Duration)) {
	v := t.flags.Duration(name, time.Duration(0), usage)
	t.row(name, func(c *conf) { set(c, metav1.Duration{Duration: *v}) })
}

func (t *table) list(name, usage string, set func(*conf, []string)) {
	v := t.flags.StringSlice(name, nil, usage)
	t.row(name, func(c *conf) { set(c, *v) })
}

// pairs are name=value lists; separator is what stands between the two.
func (t *table) pairs(name, separator, usage string, set func(*conf, map[string]string)) {
	v := t.flags.StringSlice(name, nil, usage)
	t.rows = append(t.rows, row{name, func(c *conf) error {
		out := map[string]string{}
		for _, pair := range *v {
			if pair = strings.TrimSpace(pair); pair == "" {
				continue
			}
			key, value, ok := strings.Cut(pair, separator)
			if !ok {
				return fmt.Errorf("%q is not name%svalue", pair, separator)
			}
			out[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
		set(c, out)
		return nil
	}})
}

// configFlags adds the flags that stand for fields of the configuration file.
func configFlags(flags *pflag.FlagSet) []row {
	t := &table{flags: flags}
	t.server()
	t.pods()
	t.images()
	t.node()
	t.machine()
	return t.rows
}

func (t *table) server() {
	t.yes("enable-server", "serve the kubelet's port", func(c *conf, v bool) { c.EnableServer = &v })
	t.text("address", "address to serve on", func(c *conf, v string) { c.Address = v })
	t.number("port", "port to serve on", func(c *conf, v int32) { c.Port = v })
	t.number("read-only-port", "port to serve on without authentication; 0 serves nothing", func(c *conf, v int32) { c.ReadOnlyPort = v })
	t.yes("anonymous-auth", "let requests without credentials be authorized as system:anonymous", func(c *conf, v bool) { c.Authentication.Anonymous.Enabled = &v })
	t.yes("authentication-token-webhook", "have the API server review bearer tokens", func(c *conf, v bool) { c.Authentication.Webhook.Enabled = &v })
	t.time("authentication-token-webhook-cache-ttl", "how long a token's review counts", func(c *conf, v metav1.Duration) { c.Authentication.Webhook.CacheTTL = v })
	t.text("authorization-mode", "Webhook or AlwaysAllow", func(c *conf, v string) { c.Authorization.Mode = kubeletconfig.KubeletAuthorizationMode(v) })
	t.time("authorization-webhook-cache-authorized-ttl", "how long a permission counts", func(c *conf, v metav1.Duration) { c.Authorization.Webhook.CacheAuthorizedTTL = v })
	t.time("authorization-webhook-cache-unauthorized-ttl", "how long a refusal counts", func(c *conf, v metav1.Duration) { c.Authorization.Webhook.CacheUnauthorizedTTL = v })
	t.text("client-ca-file", "CA bundle of client certificates", func(c *conf, v string) { c.Authentication.X509.ClientCAFile = v })
	t.text("tls-cert-file", "certificate (PEM) of the port", func(c *conf, v string) { c.TLSCertFile = v })
	t.text("tls-private-key-file", "private key (PEM) of the port", func(c *conf, v string) { c.TLSPrivateKeyFile = v })
	t.list("tls-cipher-suites", "cipher suites of the port", func(c *conf, v []string) { c.TLSCipherSuites = v })
	t.text("tls-min-version", "lowest TLS version of the port", func(c *conf, v string) { c.TLSMinVersion = v })
	t.yes("rotate-certificates", "renew the node's client certificate", func(c *conf, v bool) { c.RotateCertificates = v })
	t.yes("rotate-server-certificates", "get and renew the port's certificate from the cluster", func(c *conf, v bool) { c.ServerTLSBootstrap = v })
	t.yes("enable-debugging-handlers", "serve logs and commands in containers", func(c *conf, v bool) { c.EnableDebuggingHandlers = &v })
	t.yes("contention-profiling", "profile lock contention", func(c *conf, v bool) { c.EnableContentionProfiling = v })
	t.number("healthz-port", "port of /healthz; 0 serves nothing", func(c *conf, v int32) { c.HealthzPort = &v })
	t.text("healthz-bind-address", "address of /healthz", func(c *conf, v string) { c.HealthzBindAddress = v })
	t.time("streaming-connection-idle-timeout", "how long a stream may be idle", func(c *conf, v metav1.Duration) { c.StreamingConnectionIdleTimeout = v })
	t.text("kube-api-content-type", "media type of requests to the API server", func(c *conf, v string) { c.ContentType = v })
	t.number("kube-api-qps", "requests a second to the API server", func(c *conf, v int32) { c.KubeAPIQPS = &v })
	t.number("kube-api-burst", "requests at once to the API server", func(c *conf, v int32) { c.KubeAPIBurst = v })
	t.number("event-qps", "events a second", func(c *conf, v int32) { c.EventRecordQPS = &v })
	t.number("event-burst", "events at once", func(c *conf, v int32) { c.EventBurst = v })
	features := gates.Flag{}
	t.flags.Var(&features, "feature-gates", gates.Usage)
	t.row("feature-gates", func(c *conf) {
		if c.FeatureGates == nil {
			c.FeatureGates = map[string]bool{}
		}
		maps.Copy(c.FeatureGates, features) // the configuration's others stay
	})
}

func (t *table) pods() {
	t.text("pod-manifest-path", "folder of static pods' manifests, or one manifest", func(c *conf, v string) { c.StaticPodPath = v })
	t.text("manifest-url", "URL of static pods", func(c *conf, v string) { c.StaticPodURL = v })
	t.pairs("manifest-url-header", ":", "headers for --manifest-url (name:value)", func(c *conf, v map[string]string) {
		c.StaticPodURLHeader = map[string][]string{}
		for name, value := range v {
			c.StaticPodURLHeader[name] = []string{value}
		}
	})
	t.time("sync-frequency", "longest time between looks at a running pod", func(c *conf, v metav1.Duration) { c.SyncFrequency = v })
	t.time("file-check-frequency", "longest time between looks at manifests", func(c *conf, v metav1.Duration) { c.FileCheckFrequency = v })
	t.time("http-check-frequency", "time between looks at --manifest-url", func(c *conf, v metav1.Duration) { c.HTTPCheckFrequency = v })
	t.list("cluster-dns", "addresses of the cluster's DNS", func(c *conf, v []string) { c.ClusterDNS = v })
	t.text("cluster-domain", "domain of the cluster", func(c *conf, v string) { c.ClusterDomain = v })
	t.text("resolv-conf", "resolver configuration of pods that use the node's", func(c *conf, v string) { c.ResolverConfig = &v })
	t.text("hairpin-mode", "how pods reach themselves through a Service; the network plugin decides", func(c *conf, v string) { c.HairpinMode = v })
	t.number("max-pods", "how many pods may run here", func(c *conf, v int32) { c.MaxPods = v })
	t.number("pods-per-core", "how many pods may run here for each core; 0 means any", func(c *conf, v int32) { c.PodsPerCore = v })
	t.long("pod-max-pids", "how many processes a pod may have; -1 means any", func(c *conf, v int64) { c.PodPidsLimit = &v })
	t.text("pod-cidr", "pod subnet of a node without API server", func(c *conf, v string) { c.PodCIDR = v })
	t.text("container-log-max-size", "size at which a log is rotated", func(c *conf, v string) { c.ContainerLogMaxSize = v })
	t.number("container-log-max-files", "how many log files of a container are kept", func(c *conf, v int32) { c.ContainerLogMaxFiles = &v })
	t.list("allowed-unsafe-sysctls", "sysctls besides the safe ones that pods may set", func(c *conf, v []string) { c.AllowedUnsafeSysctls = v })
	t.yes("seccomp-default", "give containers without a profile the runtime's", func(c *conf, v bool) { c.SeccompDefault = &v })
	t.yes("cpu-cfs-quota", "enforce CPU limits", func(c *conf, v bool) { c.CPUCFSQuota = &v })
	t.time("cpu-cfs-quota-period", "period over which CPU limits are enforced", func(c *conf, v metav1.Duration) { c.CPUCFSQuotaPeriod = &v })
	t.yes("enable-controller-attach-detach", "let the control plane attach volumes", func(c *conf, v bool) { c.EnableControllerAttachDetach = &v })
	t.text("volume-plugin-dir", "folder of volume plugins", func(c *conf, v string) { c.VolumePluginDir = v })
	t.time("volume-stats-agg-period", "time between looks at volumes' use", func(c *conf, v metav1.Duration) { c.VolumeStatsAggPeriod = v })
	t.yes("local-storage-capacity-isolation", "count ephemeral storage", func(c *conf, v bool) { c.LocalStorageCapacityIsolation = &v })
}

func (t *table) images() {
	t.text("container-runtime-endpoint", "socket of the container runtime", func(c *conf, v string) { c.ContainerRuntimeEndpoint = v })
	t.text("image-service-endpoint", "socket of the image service, if it is another", func(c *conf, v string) { c.ImageServiceEndpoint = v })
	t.time("runtime-request-timeout", "how long the runtime may take to answer", func(c *conf, v metav1.Duration) { c.RuntimeRequestTimeout = v })
	t.number("registry-qps", "pulls a second; 0 means any", func(c *conf, v int32) { c.RegistryPullQPS = &v })
	t.number("registry-burst", "pulls at once", func(c *conf, v int32) { c.RegistryBurst = v })
	t.yes("serialize-image-pulls", "pull one image at a time", func(c *conf, v bool) { c.SerializeImagePulls = &v })
	t.number("image-gc-high-threshold", "percent of the disk in use at which unused images are removed", func(c *conf, v int32) { c.ImageGCHighThresholdPercent = &v })
	t.number("image-gc-low-threshold", "percent of the disk in use down to which they are", func(c *conf, v int32) { c.ImageGCLowThresholdPercent = &v })
	t.time("minimum-image-ttl-duration", "how long an unused image is kept at least", func(c *conf, v metav1.Duration) { c.ImageMinimumGCAge = v })
	t.number("node-status-max-images", "how many images the node's status lists; -1 means all", func(c *conf, v int32) { c.NodeStatusMaxImages = &v })
}

func (t *table) node() {
	t.yes("register-node", "make the Node", func(c *conf, v bool) { c.RegisterNode = &v })
	t.text("provider-id", "name of the machine in its cloud", func(c *conf, v string) { c.ProviderID = v })
	t.time("node-status-update-frequency", "time between looks at the node's status", func(c *conf, v metav1.Duration) { c.NodeStatusUpdateFrequency = v })
	t.pairs("eviction-hard", "<", "what must be left of the node's resources (memory.available<100Mi)", func(c *conf, v map[string]string) { c.EvictionHard = v })
	t.pairs("eviction-soft", "<", "what should be left", func(c *conf, v map[string]string) { c.EvictionSoft = v })
	t.pairs("eviction-soft-grace-period", "=", "for how long --eviction-soft may be crossed", func(c *conf, v map[string]string) { c.EvictionSoftGracePeriod = v })
	t.time("eviction-pressure-transition-period", "how long a pressure condition stays", func(c *conf, v metav1.Duration) { c.EvictionPressureTransitionPeriod = v })
	t.number("eviction-max-pod-grace-period", "seconds that a pod has at a soft threshold", func(c *conf, v int32) { c.EvictionMaxPodGracePeriod = v })
	t.pairs("eviction-minimum-reclaim", "=", "how much more than the threshold is freed", func(c *conf, v map[string]string) { c.EvictionMinimumReclaim = v })
	t.pairs("kube-reserved", "=", "resources kept for Kubernetes (cpu=100m,memory=200Mi)", func(c *conf, v map[string]string) { c.KubeReserved = v })
	t.pairs("system-reserved", "=", "resources kept for the system", func(c *conf, v map[string]string) { c.SystemReserved = v })
	t.list("enforce-node-allocatable", "what is held to its share: pods, or none", func(c *conf, v []string) { c.EnforceNodeAllocatable = v })
	t.text("kube-reserved-cgroup", "control group of Kubernetes", func(c *conf, v string) { c.KubeReservedCgroup = v })
	t.text("system-reserved-cgroup", "control group of the system", func(c *conf, v string) { c.SystemReservedCgroup = v })
	t.text("reserved-cpus", "processors kept for the system", func(c *conf, v string) { c.ReservedSystemCPUs = v })
}

func (t *table) machine() {
	t.text("cgroup-driver", "cgroupfs", func(c *conf, v string) { c.CgroupDriver = v })
	t.text("cgroup-root", "control group below which pods are", func(c *conf, v string) { c.CgroupRoot = v })
	t.yes("cgroups-per-qos", "give pods control groups by their class", func(c *conf, v bool) { c.CgroupsPerQOS = &v })
	t.text("kubelet-cgroups", "control group of the kubelet", func(c *conf, v string) { c.KubeletCgroups = v })
	t.text("system-cgroups", "control group of other processes", func(c *conf, v string) { c.SystemCgroups = v })
	t.yes("fail-swap-on", "do not run on a machine that swaps", func(c *conf, v bool) { c.FailSwapOn = &v })
	t.yes("fail-cgroupv1", "do not run on a machine with cgroup v1", func(c *conf, v bool) { c.FailCgroupV1 = &v })
	t.number("oom-score-adj", "the kubelet's own out-of-memory score", func(c *conf, v int32) { c.OOMScoreAdj = &v })
	t.long("max-open-files", "files that the kubelet may have open", func(c *conf, v int64) { c.MaxOpenFiles = v })
	t.yes("protect-kernel-defaults", "do not run with other kernel settings than the kubelet's", func(c *conf, v bool) { c.ProtectKernelDefaults = v })
	t.yes("kernel-memcg-notification", "have the kernel tell of memory use", func(c *conf, v bool) { c.KernelMemcgNotification = v })
	t.yes("make-iptables-util-chains", "upstream's marking chains; the proxy needs none", func(c *conf, v bool) { c.MakeIPTablesUtilChains = &v })
	t.number("iptables-masquerade-bit", "without effect", func(c *conf, v int32) { c.IPTablesMasqueradeBit = &v })
	t.number("iptables-drop-bit", "without effect", func(c *conf, v int32) { c.IPTablesDropBit = &v })
	t.text("cpu-manager-policy", "none", func(c *conf, v string) { c.CPUManagerPolicy = v })
	t.pairs("cpu-manager-policy-options", "=", "options of the policy", func(c *conf, v map[string]string) { c.CPUManagerPolicyOptions = v })
	t.time("cpu-manager-reconcile-period", "without effect", func(c *conf, v metav1.Duration) { c.CPUManagerReconcilePeriod = v })
	t.text("memory-manager-policy", "None", func(c *conf, v string) { c.MemoryManagerPolicy = v })
	t.text("topology-manager-policy", "none", func(c *conf, v string) { c.TopologyManagerPolicy = v })
	t.pairs("topology-manager-policy-options", "=", "options of the policy", func(c *conf, v map[string]string) { c.TopologyManagerPolicyOptions = v })
	t.text("topology-manager-scope", "container or pod", func(c *conf, v string) { c.TopologyManagerScope = v })
	t.pairs("qos-reserved", "=", "share of a resource kept for higher classes", func(c *conf, v map[string]string) { c.QOSReserved = v })
	v := t.flags.StringArray("reserved-memory", nil, "memory kept on NUMA nodes")
	t.rows = append(t.rows, row{"reserved-memory", func(*conf) error { return fmt.Errorf("not supported: %v", *v) }})
}

// mergeDir lays the files of a folder over a configuration, in order of their names.
func mergeDir(config *conf, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	if err != nil {
		return fmt.Errorf("--config-dir: %w", err)
	}
	sort.Strings(files)
	for _, file := range files {
		if _, err := LoadConfiguration(file); err != nil {
			return err
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--config-dir: %w", err)
		}
		if err := yaml.Unmarshal(raw, config); err != nil {
			return fmt.Errorf("--config-dir: %s: %w", strconv.Quote(file), err)
		}
	}
	return nil
}
