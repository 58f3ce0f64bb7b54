package kubelet

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/kubelet/admit"
	"github.com/septet-io/septet/kubelet/cgroup"
	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/image"
	"github.com/septet-io/septet/kubelet/node"
	"github.com/septet-io/septet/kubelet/pod"
	"github.com/septet-io/septet/kubelet/probe"
	"github.com/septet-io/septet/kubelet/spec"
	"github.com/septet-io/septet/kubelet/status"
	"github.com/septet-io/septet/kubelet/volume"
	"github.com/septet-io/septet/kubelet/volume/csi"
	"github.com/septet-io/septet/resource/core"
)

// build makes the kubelet's parts; nothing runs yet.
func (k *Kubelet) build(ctx context.Context) error {
	c := k.config.Configuration
	for _, dir := range []string{k.config.RootDir, podsDir(k.config.RootDir), c.PodLogsDir, k.config.ContainerLogs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("kubelet: %w", err)
		}
	}
	var err error
	if k.machine, err = node.Inspect(k.config.RootDir); err != nil {
		return err
	}
	if *c.FailSwapOn && k.machine.Swap > 0 {
		return fmt.Errorf("running with swap on is not supported, please disable swap or set --fail-swap-on flag to false")
	}
	if len(k.config.NodeIPs) == 0 {
		if k.config.NodeIPs, err = node.ParseIPs(""); err != nil {
			return err
		}
	}
	if k.remote, err = cri.Dial(k.config.RuntimeEndpoint, k.config.ImageEndpoint, c.RuntimeRequestTimeout.Duration); err != nil {
		return err
	}
	k.runtime = k.remote
	if err := k.buildCgroups(); err != nil {
		return err
	}
	if k.book, err = admit.OpenBook(k.config.RootDir); err != nil {
		return err
	}
	k.buildEvents(ctx)
	k.buildInformers(ctx)
	k.objects = newObjectStore(k.config.Client.Interface, k.retry)
	k.drivers = &csi.Drivers{NodeName: k.config.NodeName, Client: k.config.Client.Interface}
	k.volumes = volume.New(volume.Config{
		RootDir: k.config.RootDir, NodeName: k.config.NodeName, Client: k.config.Client.Interface,
		Allocatable: func() v1.ResourceList { return k.node.Allocatable() }, Changed: k.retry, CSI: k.drivers,
	})
	k.writer = status.NewWriter(k.config.Client.Interface, k.config.NodeName, k.config.Journal, k.target)
	k.prober = probe.New(k.runtime, k.events, k.probed)
	k.images = image.New(k.runtime, k.events, image.Config{Parallel: parallel(c.SerializeImagePulls, c.MaxParallelImagePulls), QPS: float32(*c.RegistryPullQPS), Burst: int(c.RegistryBurst)})
	if err := k.buildEvictor(); err != nil {
		return err
	}
	if err := k.buildDevices(); err != nil {
		return err
	}
	if err := k.buildNode(); err != nil {
		return err
	}
	return k.buildHost()
}

func parallel(serialize *bool, most *int32) int {
	switch {
	case *serialize:
		return 1
	case most != nil:
		return int(*most)
	}
	return 0
}

func (k *Kubelet) buildCgroups() error {
	c := k.config.Configuration
	var err error
	k.cgroups, err = cgroup.New(cgroup.Config{
		Root: c.CgroupRoot, Flat: !*c.CgroupsPerQOS, NoCPUQuota: !*c.CPUCFSQuota, CPUPeriod: c.CPUCFSQuotaPeriod.Microseconds(), PidsLimit: *c.PodPidsLimit,
	})
	if err != nil {
		return fmt.Errorf("control groups: %w", err)
	}
	if *c.FailCgroupV1 && k.cgroups.Version() == 1 {
		return fmt.Errorf("kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release; set failCgroupV1 to false in its configuration to run here")
	}
	return nil
}

func (k *Kubelet) buildEvents(ctx context.Context) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: k.config.Client.CoreV1().Events(metav1.NamespaceAll)})
	k.events = quietRecorder{broadcaster.NewRecorder(scheme.Scheme, v1.EventSource{Component: "kubelet", Host: k.config.NodeName}), ctx}
	go func() {
		<-ctx.Done()
		broadcaster.Shutdown()
	}()
}

func (k *Kubelet) buildInformers(ctx context.Context) {
	factory := k.config.Client.Informers
	services := factory.Core().V1().Services()
	services.Informer()
	factory.Node().V1().RuntimeClasses().Informer()
	k.services = services.Lister()
	factory.StartWithContext(ctx)
}

func (k *Kubelet) buildNode() error {
	c := k.config.Configuration
	reserved := v1.ResourceList{}
	for _, list := range []map[string]string{c.KubeReserved, c.SystemReserved} {
		for name, value := range list {
			q, err := resource.ParseQuantity(value)
			if err != nil {
				return fmt.Errorf("kubeReserved, systemReserved: %s: %w", name, err)
			}
			have := reserved[v1.ResourceName(name)]
			have.Add(q)
			reserved[v1.ResourceName(name)] = have
		}
	}
	maxPods := c.MaxPods
	if c.PodsPerCore > 0 {
		maxPods = min(maxPods, c.PodsPerCore*int32(k.machine.CPUs))
	}
	k.node = node.New(node.Config{
		Client: k.config.Client.Interface, Recorder: k.events, Runtime: k.runtime, Name: k.config.NodeName, Hostname: k.config.Hostname,
		IPs: k.config.NodeIPs, Register: *c.RegisterNode, Labels: k.config.Labels, Taints: c.RegisterWithTaints,
		ProviderID: k.config.ProviderID, CloudExternal: k.config.CloudExternal, KubeletVersion: daemon.Version().GitVersion,
		Port: c.Port, MaxImages: *c.NodeStatusMaxImages, Machine: k.machine, MaxPods: maxPods,
		Extended: k.devices.Resources, Reserved: reserved, EvictionReserve: k.evictionReserve(), Pressure: k.evictor.Conditions,
		Check: c.NodeStatusUpdateFrequency.Duration, Report: c.NodeStatusReportFrequency.Duration,
		LeaseDuration:  time.Duration(c.NodeLeaseDurationSeconds) * time.Second,
		PodCIDRChanged: k.config.PodCIDRChanged,
	})
	return nil
}

func (k *Kubelet) buildHost() error {
	c := k.config.Configuration
	sizes := make([]string, 0, len(k.machine.HugePages))
	for size := range k.machine.HugePages {
		sizes = append(sizes, size)
	}
	spoken := &spec.Node{
		Name: k.config.NodeName, Hostname: k.config.Hostname, IPs: func() []net.IP { return k.node.IPs() },
		Allocatable: k.node.Allocatable, MemoryCapacity: k.machine.Memory, CgroupV2: k.cgroups.Version() == 2, HugePageSizes: sizes,
		SwapAccounting: k.cgroups.Version() == 2 && exists("/sys/fs/cgroup/"+strings.TrimPrefix(k.cgroups.Root(), "/")+"/memory.swap.max"),
		RootDir:        k.config.RootDir, LogsDir: c.PodLogsDir, ClusterDNS: c.ClusterDNS, ClusterDomain: c.ClusterDomain, ResolvConf: *c.ResolverConfig,
		SeccompDefault: *c.SeccompDefault, SeccompProfileRoot: filepath.Join(k.config.RootDir, "seccomp"),
		CFSQuota: *c.CPUCFSQuota, CFSPeriod: c.CPUCFSQuotaPeriod.Microseconds(), SingleProcessOOMKill: isTrue(c.SingleProcessOOMKill),
	}
	if err := k.cgroups.Setup(k.enforced()); err != nil {
		return fmt.Errorf("control groups: %w", err)
	}
	k.userIDs = admit.NewUserIDs(spoken.PodDir, int(c.MaxPods))
	k.host = &pod.Host{
		Node: spoken, Runtime: k.runtime, Images: k.images, Volumes: podVolumes{k.volumes}, Cgroups: k.cgroups,
		Objects: k.objects, Prober: k.prober, Status: k.writer, Recorder: k.events, Services: k.listServices, Handler: k.handler,
		Features: k.features, UserIDs: k.userIDs, LongestBackoff: c.CrashLoopBackOff.MaxContainerRestartPeriod.Duration,
		Devices: podDevices{k.devices}, ContainerLogLinks: k.config.ContainerLogs, Journal: k.config.Journal, Gone: k.gone,
	}
	return nil
}

// enforced is what all pods together are held to.
func (k *Kubelet) enforced() v1.ResourceList {
	for _, what := range k.config.Configuration.EnforceNodeAllocatable {
		if what == "pods" {
			return k.node.Allocatable()
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (k *Kubelet) listServices() []*v1.Service {
	services, err := k.services.List(labels.Everything())
	if err != nil {
		klog.FromContext(k.ctx).Error(err, "Could not list Services")
	}
	return services
}

// handler returns the runtime handler of the pod's RuntimeClass.
func (k *Kubelet) handler(p *v1.Pod) (string, error) {
	if p.Spec.RuntimeClassName == nil || *p.Spec.RuntimeClassName == "" {
		return "", nil
	}
	class, err := k.config.Client.Informers.Node().V1().RuntimeClasses().Lister().Get(*p.Spec.RuntimeClassName)
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("RuntimeClass %q not found", *p.Spec.RuntimeClassName)
	}
	if err != nil {
		return "", err
	}
	return class.Handler, nil
}

// preparePod completes and checks a static pod as the API server would.
func preparePod(p *v1.Pod) error {
	kind := core.Pods()
	kind.Default(p)
	if kind.Validate == nil {
		return nil
	}
	if errs := kind.Validate(nil, p); len(errs) > 0 {
		return errs.ToAggregate()
	}
	return nil
}
