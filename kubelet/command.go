package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/daemon/gates"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/kubelet/node"
)

// options are the flags that are no fields of the configuration file.
type options struct {
	config, configDir                     string
	kubeconfig, bootstrapKubeconfig       string
	hostname, nodeIP                      string
	certDir, rootDir                      string
	cloudProvider                         string
	labels                                map[string]string
	taints                                []string
	credentialProviders, credentialBinDir string
}

// Command returns the kubelet's command, with upstream's flags. Flags win over the
// configuration file.
func Command() *cobra.Command {
	o := &options{}
	var rows []row
	var flags *pflag.FlagSet
	return daemon.Component("kubelet", "The node agent: runs the pods that belong on this machine", func(f *pflag.FlagSet) {
		flags = f
		o.add(f)
		rows = configFlags(f)
	}, func(ctx context.Context) error {
		config, err := o.configuration(flags, rows)
		if err != nil {
			return err
		}
		return o.run(ctx, config)
	})
}

func (o *options) add(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", "", "configuration file (KubeletConfiguration of kubelet.config.k8s.io/v1beta1)")
	f.StringVar(&o.configDir, "config-dir", "", "folder of further configuration files (*.conf), laid over --config in order of their names")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of this node; it is written if it is made with --bootstrap-kubeconfig")
	f.StringVar(&o.bootstrapKubeconfig, "bootstrap-kubeconfig", "", "kubeconfig to ask for the node's client certificate with, if --kubeconfig is not there yet")
	f.StringVar(&o.hostname, "hostname-override", "", "name of the node instead of the machine's")
	f.StringVar(&o.nodeIP, "node-ip", "", "address of the node, or one of each family, comma separated")
	f.StringVar(&o.certDir, "cert-dir", filepath.Join(DefaultRootDir, "pki"), "folder of the node's certificates")
	f.StringVar(&o.rootDir, "root-dir", DefaultRootDir, "folder that holds what the kubelet keeps")
	f.StringVar(&o.cloudProvider, "cloud-provider", "", `"external" if a cloud-controller-manager tells of the node, empty if there is no cloud`)
	f.StringToStringVar(&o.labels, "node-labels", nil, "labels of the Node")
	f.StringSliceVar(&o.taints, "register-with-taints", nil, "taints that the Node is made with (key=value:effect)")
	f.StringVar(&o.credentialProviders, "image-credential-provider-config", "", "not supported: give pull secrets instead")
	f.StringVar(&o.credentialBinDir, "image-credential-provider-bin-dir", "", "not supported: give pull secrets instead")
	const no = "accepted for compatibility, without effect"
	for _, name := range []string{"lock-file", "pod-infra-container-image", "experimental-mounter-path", "runtime-cgroups", "boot-id-file", "container-hints", "containerd", "containerd-namespace",
		"machine-id-file", "event-storage-age-limit", "event-storage-event-limit", "storage-driver-db", "storage-driver-host", "storage-driver-password",
		"storage-driver-table", "storage-driver-user"} {
		f.String(name, "", no)
	}
	for _, name := range []string{"exit-on-lock-contention", "enable-load-reader", "log-cadvisor-usage", "storage-driver-secure", "keep-terminated-pod-volumes",
		"experimental-allocatable-ignore-eviction", "containerd-env-metadata-whitelist"} {
		f.Bool(name, false, no)
	}
	for _, name := range []string{"housekeeping-interval", "global-housekeeping-interval", "storage-driver-buffer-duration", "minimum-container-ttl-duration"} {
		f.Duration(name, 0, no)
	}
	for _, name := range []string{"maximum-dead-containers", "maximum-dead-containers-per-container", "application-metrics-count-limit"} {
		f.Int32(name, 0, no)
	}
}

// configuration is the files', with the flags that were given laid over it.
func (o *options) configuration(flags *pflag.FlagSet, rows []row) (*kubeletconfig.KubeletConfiguration, error) {
	config := &kubeletconfig.KubeletConfiguration{}
	if o.config != "" {
		var err error
		if config, err = LoadConfiguration(o.config); err != nil {
			return nil, err
		}
	}
	if o.configDir != "" {
		if err := mergeDir(config, o.configDir); err != nil {
			return nil, err
		}
	}
	for _, r := range rows {
		if flags.Changed(r.name) {
			if err := r.apply(config); err != nil {
				return nil, daemon.UsageError("--%s: %v", r.name, err)
			}
		}
	}
	if err := gates.Check(config.FeatureGates); err != nil {
		return nil, daemon.UsageError("featureGates: %v", err)
	}
	gates.Warn(config.FeatureGates)
	for _, text := range o.taints {
		taint, err := parseTaint(text)
		if err != nil {
			return nil, daemon.UsageError("--register-with-taints: %v", err)
		}
		config.RegisterWithTaints = append(config.RegisterWithTaints, taint)
	}
	if o.credentialProviders != "" || o.credentialBinDir != "" {
		return nil, fmt.Errorf("image credential provider plugins are not supported: give pods or their service accounts pull secrets")
	}
	switch o.cloudProvider {
	case "", "external":
	default:
		return nil, daemon.UsageError("--cloud-provider=%s: must be external or empty", o.cloudProvider)
	}
	return config, nil
}

func parseTaint(text string) (v1.Taint, error) {
	pair, effect, ok := strings.Cut(text, ":")
	if !ok {
		return v1.Taint{}, fmt.Errorf("%q is not key=value:effect", text)
	}
	switch v1.TaintEffect(effect) {
	case v1.TaintEffectNoSchedule, v1.TaintEffectPreferNoSchedule, v1.TaintEffectNoExecute:
	default:
		return v1.Taint{}, fmt.Errorf("%q: the effect must be NoSchedule, PreferNoSchedule or NoExecute", text)
	}
	key, value, _ := strings.Cut(pair, "=")
	return v1.Taint{Key: key, Value: value, Effect: v1.TaintEffect(effect)}, nil
}

// run runs the kubelet as a process of its own.
func (o *options) run(ctx context.Context, config *kubeletconfig.KubeletConfiguration) error {
	hostname, err := node.Hostname("")
	if err != nil && o.hostname == "" {
		return err
	}
	name, err := node.Hostname(o.hostname)
	if err != nil {
		return err
	}
	ips, err := node.ParseIPs(o.nodeIP)
	if err != nil {
		return err
	}
	if o.kubeconfig == "" {
		return fmt.Errorf("--kubeconfig is required: where to reach the API server, and as whom")
	}
	if o.bootstrapKubeconfig != "" {
		if err := node.Bootstrap(ctx, o.kubeconfig, o.bootstrapKubeconfig, o.certDir, name); err != nil {
			return err
		}
	}
	access, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %q: %w", o.kubeconfig, err)
	}
	clients, err := clientsOf(access, config)
	if err != nil {
		return err
	}
	if hostname == "" {
		hostname = name
	}
	adjustScore(ctx, config)
	return Run(ctx, Config{
		Client: clients, NodeName: name, Hostname: hostname, NodeIPs: ips, RootDir: o.rootDir, CertDir: o.certDir,
		Configuration: config, CloudExternal: o.cloudProvider == "external", Labels: o.labels, Journal: journal.New(0),
	})
}

func clientsOf(access *rest.Config, config *kubeletconfig.KubeletConfiguration) (*client.Set, error) {
	access = rest.CopyConfig(access)
	access.UserAgent = daemon.UserAgent("kubelet")
	if config.KubeAPIQPS != nil {
		access.QPS = float32(*config.KubeAPIQPS)
		access.Burst = int(config.KubeAPIBurst)
	}
	return client.New(access)
}

// adjustScore keeps the kernel from killing the agent of a node that runs out of
// memory. It needs a capability that containers of the agent may lack.
func adjustScore(ctx context.Context, config *kubeletconfig.KubeletConfiguration) {
	score := int32(-999)
	if config.OOMScoreAdj != nil {
		score = *config.OOMScoreAdj
	}
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(int(score))), 0o644); err != nil {
		klog.FromContext(ctx).V(1).Info("Could not adjust the agent's out-of-memory score", "err", err)
	}
}
