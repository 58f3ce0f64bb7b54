// Package config reads KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): strictly, with upstream's defaults, and with every
// mistake reported at once under its path.
package config

import (
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// DefaultName is the schedulerName of pods that name none.
const DefaultName = "default-scheduler"

// Kind of the file.
const Kind = "KubeSchedulerConfiguration"

// Default is the configuration without a file.
func Default() *schedulerv1.KubeSchedulerConfiguration {
	c := &schedulerv1.KubeSchedulerConfiguration{}
	SetDefaults(c)
	return c
}

// ReadFile reads, defaults and validates a file.
func ReadFile(path string) (*schedulerv1.KubeSchedulerConfiguration, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse reads, defaults and validates YAML or JSON. The error lists every mistake.
func Parse(data []byte) (*schedulerv1.KubeSchedulerConfiguration, error) {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(data, &meta); err != nil {
		return nil, err
	}
	if want := schedulerv1.SchemeGroupVersion.String(); meta.APIVersion != want || meta.Kind != Kind {
		return nil, fmt.Errorf("apiVersion %q, kind %q: must be %s, %s", meta.APIVersion, meta.Kind, want, Kind)
	}
	c := &schedulerv1.KubeSchedulerConfiguration{}
	if err := yaml.UnmarshalStrict(data, c); err != nil {
		return nil, err
	}
	SetDefaults(c)
	if errs := Validate(c); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return c, nil
}

// SetDefaults fills what is not set, as upstream does.
func SetDefaults(c *schedulerv1.KubeSchedulerConfiguration) {
	c.APIVersion, c.Kind = schedulerv1.SchemeGroupVersion.String(), Kind
	fill(&c.Parallelism, 16)
	fill(&c.PercentageOfNodesToScore, 0)
	fill(&c.PodInitialBackoffSeconds, 1)
	fill(&c.PodMaxBackoffSeconds, 10)
	fill(&c.EnableProfiling, true)
	fill(&c.EnableContentionProfiling, true)
	e := &c.LeaderElection
	fill(&e.LeaderElect, true)
	fillDuration(&e.LeaseDuration, 15*time.Second)
	fillDuration(&e.RenewDeadline, 10*time.Second)
	fillDuration(&e.RetryPeriod, 2*time.Second)
	fillString(&e.ResourceLock, "leases")
	fillString(&e.ResourceName, schedulerv1.SchedulerDefaultLockObjectName)
	fillString(&e.ResourceNamespace, schedulerv1.SchedulerDefaultLockObjectNamespace)
	fillString(&c.ClientConnection.ContentType, "application/vnd.kubernetes.protobuf")
	if c.ClientConnection.QPS == 0 {
		c.ClientConnection.QPS = 50
	}
	if c.ClientConnection.Burst == 0 {
		c.ClientConnection.Burst = 100
	}
	if len(c.Profiles) == 0 {
		c.Profiles = []schedulerv1.KubeSchedulerProfile{{}}
	}
	if len(c.Profiles) == 1 && c.Profiles[0].SchedulerName == nil {
		c.Profiles[0].SchedulerName = ptr.To(DefaultName)
	}
	for i := range c.Extenders {
		x := &c.Extenders[i]
		if x.HTTPTimeout.Duration == 0 {
			x.HTTPTimeout.Duration = 5 * time.Second
		}
		if x.PrioritizeVerb != "" && x.Weight == 0 {
			x.Weight = 1
		}
	}
}

func fill[T any](at **T, value T) {
	if *at == nil {
		*at = &value
	}
}

func fillString(at *string, value string) {
	if *at == "" {
		*at = value
	}
}

func fillDuration(at *metav1.Duration, value time.Duration) {
	if at.Duration == 0 {
		at.Duration = value
	}
}

// Args returns the defaulted arguments of a plugin as its own type, and false if the plugin has none. raw may be empty.
func Args(name string, raw runtime.RawExtension) (args any, known bool, err error) {
	makeArgs, ok := argTypes[name]
	if !ok {
		return nil, false, nil
	}
	args = makeArgs()
	if len(raw.Raw) > 0 {
		if err := yaml.UnmarshalStrict(raw.Raw, args); err != nil {
			return nil, true, err
		}
	} else if raw.Object != nil {
		args = raw.Object.DeepCopyObject()
	}
	defaultArgs(args)
	return args, true, nil
}

// argTypes are the plugins that have arguments.
var argTypes = map[string]func() any{
	"DefaultPreemption":               func() any { return &schedulerv1.DefaultPreemptionArgs{} },
	"DynamicResources":                func() any { return &schedulerv1.DynamicResourcesArgs{} },
	"InterPodAffinity":                func() any { return &schedulerv1.InterPodAffinityArgs{} },
	"NodeAffinity":                    func() any { return &schedulerv1.NodeAffinityArgs{} },
	"NodeResourcesBalancedAllocation": func() any { return &schedulerv1.NodeResourcesBalancedAllocationArgs{} },
	"NodeResourcesFit":                func() any { return &schedulerv1.NodeResourcesFitArgs{} },
	"PodTopologySpread":               func() any { return &schedulerv1.PodTopologySpreadArgs{} },
	"VolumeBinding":                   func() any { return &schedulerv1.VolumeBindingArgs{} },
}

var cpuAndMemory = []schedulerv1.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}}

func defaultArgs(args any) {
	switch a := args.(type) {
	case *schedulerv1.DefaultPreemptionArgs:
		fill(&a.MinCandidateNodesPercentage, 10)
		fill(&a.MinCandidateNodesAbsolute, 100)
	case *schedulerv1.DynamicResourcesArgs:
		fill(&a.FilterTimeout, metav1.Duration{Duration: schedulerv1.DynamicResourcesFilterTimeoutDefault})
		fill(&a.BindingTimeout, metav1.Duration{Duration: schedulerv1.DynamicResourcesBindingTimeoutDefault})
	case *schedulerv1.InterPodAffinityArgs:
		fill(&a.HardPodAffinityWeight, 1)
	case *schedulerv1.NodeResourcesBalancedAllocationArgs:
		if len(a.Resources) == 0 {
			a.Resources = append(a.Resources, cpuAndMemory...)
		}
		weighOne(a.Resources)
	case *schedulerv1.NodeResourcesFitArgs:
		if a.ScoringStrategy == nil {
			a.ScoringStrategy = &schedulerv1.ScoringStrategy{Type: schedulerv1.LeastAllocated}
		}
		if len(a.ScoringStrategy.Resources) == 0 {
			a.ScoringStrategy.Resources = append(a.ScoringStrategy.Resources, cpuAndMemory...)
		}
		weighOne(a.ScoringStrategy.Resources)
	case *schedulerv1.PodTopologySpreadArgs:
		if a.DefaultingType == "" {
			a.DefaultingType = schedulerv1.SystemDefaulting
		}
	case *schedulerv1.VolumeBindingArgs:
		fill(&a.BindTimeoutSeconds, 600) // no shape by default: as in upstream, where rating volumes by it is not on
	}
}

func weighOne(resources []schedulerv1.ResourceSpec) {
	for i := range resources {
		if resources[i].Weight == 0 {
			resources[i].Weight = 1
		}
	}
}
