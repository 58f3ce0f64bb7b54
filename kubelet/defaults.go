package kubelet

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"
)

// defaultPodLogs is where pods' logs lie.
const defaultPodLogs = "/var/log/pods"

// Default fills in what a KubeletConfiguration leaves open, with the values that
// v1beta1 documents.
func Default(c *kubeletconfig.KubeletConfiguration) {
	defaultServer(c)
	defaultPods(c)
	defaultImages(c)
	defaultNode(c)
	defaultManagers(c)
	defaultLogging(c)
}

// or sets what is nil.
func or[T any](p **T, value T) {
	if *p == nil {
		*p = ptr.To(value)
	}
}

// orIf sets what is zero.
func orIf[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

func duration(p *metav1.Duration, value time.Duration) {
	if p.Duration == 0 {
		p.Duration = value
	}
}

func defaultServer(c *kubeletconfig.KubeletConfiguration) {
	or(&c.EnableServer, true)
	orIf(&c.Address, "0.0.0.0")
	orIf(&c.Port, 10250)
	or(&c.Authentication.Anonymous.Enabled, false)
	or(&c.Authentication.Webhook.Enabled, true)
	duration(&c.Authentication.Webhook.CacheTTL, 2*time.Minute)
	orIf(&c.Authorization.Mode, kubeletconfig.KubeletAuthorizationModeWebhook)
	duration(&c.Authorization.Webhook.CacheAuthorizedTTL, 5*time.Minute)
	duration(&c.Authorization.Webhook.CacheUnauthorizedTTL, 30*time.Second)
	or(&c.EnableDebuggingHandlers, true)
	or(&c.EnableSystemLogHandler, true)
	or(&c.EnableSystemLogQuery, false)
	or(&c.EnableProfilingHandler, true)
	or(&c.EnableDebugFlagsHandler, true)
	or(&c.HealthzPort, 10248)
	orIf(&c.HealthzBindAddress, "127.0.0.1")
	duration(&c.StreamingConnectionIdleTimeout, 4*time.Hour)
	orIf(&c.ContentType, "application/vnd.kubernetes.protobuf")
	or(&c.KubeAPIQPS, 50)
	orIf(&c.KubeAPIBurst, 100)
	or(&c.EventRecordQPS, 50)
	orIf(&c.EventBurst, 100)
}

func defaultPods(c *kubeletconfig.KubeletConfiguration) {
	orIf(&c.PodLogsDir, defaultPodLogs)
	duration(&c.SyncFrequency, time.Minute)
	duration(&c.FileCheckFrequency, 20*time.Second)
	duration(&c.HTTPCheckFrequency, 20*time.Second)
	orIf(&c.MaxPods, 110)
	or(&c.PodPidsLimit, -1)
	or(&c.ResolverConfig, "/etc/resolv.conf")
	or(&c.CPUCFSQuota, true)
	or(&c.CPUCFSQuotaPeriod, metav1.Duration{Duration: 100 * time.Millisecond})
	orIf(&c.ContainerLogMaxSize, "10Mi")
	or(&c.ContainerLogMaxFiles, 5)
	or(&c.ContainerLogMaxWorkers, 1)
	or(&c.ContainerLogMonitorInterval, metav1.Duration{Duration: 10 * time.Second})
	or(&c.CrashLoopBackOff.MaxContainerRestartPeriod, metav1.Duration{Duration: 5 * time.Minute})
	orIf(&c.ConfigMapAndSecretChangeDetectionStrategy, kubeletconfig.WatchChangeDetectionStrategy)
	or(&c.SeccompDefault, false)
	or(&c.EnableControllerAttachDetach, true)
	orIf(&c.VolumePluginDir, "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/")
	duration(&c.VolumeStatsAggPeriod, time.Minute)
	or(&c.LocalStorageCapacityIsolation, true)
}

func defaultImages(c *kubeletconfig.KubeletConfiguration) {
	or(&c.RegistryPullQPS, 5)
	orIf(&c.RegistryBurst, 10)
	or(&c.SerializeImagePulls, c.MaxParallelImagePulls == nil || *c.MaxParallelImagePulls <= 1)
	orIf(&c.ImagePullCredentialsVerificationPolicy, kubeletconfig.NeverVerifyPreloadedImages)
	duration(&c.ImageMinimumGCAge, 2*time.Minute)
	or(&c.ImageGCHighThresholdPercent, 85)
	or(&c.ImageGCLowThresholdPercent, 80)
	or(&c.NodeStatusMaxImages, 50)
	orIf(&c.ContainerRuntimeEndpoint, "unix:///run/containerd/containerd.sock")
	duration(&c.RuntimeRequestTimeout, 2*time.Minute)
}

func defaultNode(c *kubeletconfig.KubeletConfiguration) {
	or(&c.RegisterNode, true)
	if c.NodeStatusReportFrequency.Duration == 0 {
		c.NodeStatusReportFrequency.Duration = 5 * time.Minute
		if c.NodeStatusUpdateFrequency.Duration != 0 {
			// Whoever sets how often to look wants to send as often, too.
			c.NodeStatusReportFrequency = c.NodeStatusUpdateFrequency
		}
	}
	duration(&c.NodeStatusUpdateFrequency, 10*time.Second)
	orIf(&c.NodeLeaseDurationSeconds, 40)
	or(&c.OOMScoreAdj, -999)
	orIf(&c.HairpinMode, kubeletconfig.PromiscuousBridge)
	orIf(&c.MaxOpenFiles, 1000000)
	duration(&c.EvictionPressureTransitionPeriod, 5*time.Minute)
	or(&c.MergeDefaultEvictionSettings, false)
	or(&c.FailSwapOn, true)
	or(&c.FailCgroupV1, true)
	or(&c.MakeIPTablesUtilChains, true)
	or(&c.IPTablesMasqueradeBit, 14)
	or(&c.IPTablesDropBit, 15)
	if c.EnforceNodeAllocatable == nil {
		c.EnforceNodeAllocatable = []string{"pods"}
	}
}

func defaultManagers(c *kubeletconfig.KubeletConfiguration) {
	or(&c.CgroupsPerQOS, true)
	orIf(&c.CgroupDriver, driverFiles)
	orIf(&c.CPUManagerPolicy, "none")
	duration(&c.CPUManagerReconcilePeriod, 10*time.Second)
	orIf(&c.MemoryManagerPolicy, kubeletconfig.NoneMemoryManagerPolicy)
	orIf(&c.TopologyManagerPolicy, kubeletconfig.NoneTopologyManagerPolicy)
	orIf(&c.TopologyManagerScope, kubeletconfig.ContainerTopologyManagerScope)
	or(&c.MemoryThrottlingFactor, 0.9)
	orIf(&c.MemoryReservationPolicy, kubeletconfig.NoneMemoryReservationPolicy)
}

func defaultLogging(c *kubeletconfig.KubeletConfiguration) {
	orIf(&c.Logging.Format, "text")
	if c.Logging.FlushFrequency.Duration.Duration == 0 {
		c.Logging.FlushFrequency.Duration.Duration = 5 * time.Second
		c.Logging.FlushFrequency.SerializeAsString = true
	}
}
