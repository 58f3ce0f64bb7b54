// Package policy reads Scheduling Policies, the configuration with predicates and priorities that came before profiles, and
// turns them into a profile. What has no equivalent is an error with its path.
package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

// ConfigMapKey is where a ConfigMap holds a Policy.
const ConfigMapKey = "policy.cfg"

// Policy is the file's kind (apiVersion v1).
type Policy struct {
	metav1.TypeMeta `json:",inline"`
	// Predicates are the filters; absent means the defaults, empty means none but those that cannot be left out.
	Predicates []Predicate `json:"predicates"`
	// Priorities are the scores; absent means the defaults, empty means none.
	Priorities []Priority `json:"priorities"`
	Extenders  []Extender `json:"extenders,omitempty"`
	// HardPodAffinitySymmetricWeight is what a placed pod's required affinity is worth, from 1 to 100.
	HardPodAffinitySymmetricWeight int32 `json:"hardPodAffinitySymmetricWeight,omitempty"`
	// AlwaysCheckAllPredicates asks for all reasons rather than the first; the scheduler's own explanation has them in any case.
	AlwaysCheckAllPredicates bool `json:"alwaysCheckAllPredicates,omitempty"`
}

// Predicate is a filter, with an argument for custom ones.
type Predicate struct {
	Name     string          `json:"name"`
	Argument json.RawMessage `json:"argument,omitempty"`
}

// Priority is a score, with an argument for custom ones.
type Priority struct {
	Name     string            `json:"name"`
	Weight   int64             `json:"weight"`
	Argument *PriorityArgument `json:"argument,omitempty"`
}

// PriorityArgument configures a custom priority.
type PriorityArgument struct {
	ServiceAntiAffinity               json.RawMessage           `json:"serviceAntiAffinity,omitempty"`
	LabelPreference                   json.RawMessage           `json:"labelPreference,omitempty"`
	RequestedToCapacityRatioArguments *RequestedToCapacityRatio `json:"requestedToCapacityRatioArguments,omitempty"`
}

// RequestedToCapacityRatio is a score by a function of utilization.
type RequestedToCapacityRatio struct {
	Shape     []schedulerv1.UtilizationShapePoint `json:"shape"`
	Resources []schedulerv1.ResourceSpec          `json:"resources,omitempty"`
}

// Extender is an extender as Policies wrote it: the timeout is in nanoseconds or a duration.
type Extender struct {
	URLPrefix        string                                `json:"urlPrefix"`
	FilterVerb       string                                `json:"filterVerb,omitempty"`
	PreemptVerb      string                                `json:"preemptVerb,omitempty"`
	PrioritizeVerb   string                                `json:"prioritizeVerb,omitempty"`
	Weight           int64                                 `json:"weight,omitempty"`
	BindVerb         string                                `json:"bindVerb,omitempty"`
	EnableHTTPS      bool                                  `json:"enableHttps,omitempty"`
	TLSConfig        *schedulerv1.ExtenderTLSConfig        `json:"tlsConfig,omitempty"`
	HTTPTimeout      json.RawMessage                       `json:"httpTimeout,omitempty"`
	NodeCacheCapable bool                                  `json:"nodeCacheCapable,omitempty"`
	ManagedResources []schedulerv1.ExtenderManagedResource `json:"managedResources,omitempty"`
	Ignorable        bool                                  `json:"ignorable,omitempty"`
}

// predicates maps the names to plugins. General predicates stand for several.
var predicates = map[string][]string{
	"PodFitsPorts":            {"NodePorts"},
	"PodFitsHostPorts":        {"NodePorts"},
	"PodFitsResources":        {"NodeResourcesFit"},
	"HostName":                {"NodeName"},
	"MatchNodeSelector":       {"NodeAffinity"},
	"GeneralPredicates":       {"NodeResourcesFit", "NodeName", "NodePorts", "NodeAffinity"},
	"NoDiskConflict":          {"VolumeRestrictions"},
	"NoVolumeZoneConflict":    {"VolumeZone"},
	"MaxCSIVolumeCountPred":   {"NodeVolumeLimits"},
	"MaxEBSVolumeCount":       {"NodeVolumeLimits"},
	"MaxGCEPDVolumeCount":     {"NodeVolumeLimits"},
	"MaxAzureDiskVolumeCount": {"NodeVolumeLimits"},
	"MaxCinderVolumeCount":    {"NodeVolumeLimits"},
	"PodToleratesNodeTaints":  {"TaintToleration"},
	"CheckNodeUnschedulable":  {"NodeUnschedulable"},
	"CheckVolumeBinding":      {"VolumeBinding"},
	"MatchInterPodAffinity":   {"InterPodAffinity"},
	"EvenPodsSpread":          {"PodTopologySpread"},
	"CheckNodeCondition":      {"TaintToleration"},
	"CheckNodeMemoryPressure": {"TaintToleration"},
	"CheckNodeDiskPressure":   {"TaintToleration"},
	"CheckNodePIDPressure":    {"TaintToleration"},
}

// mandatory predicates cannot be left out.
var mandatory = []string{"PodToleratesNodeTaints", "CheckNodeUnschedulable"}

// priorities maps the names to plugins.
var priorities = map[string]string{
	"LeastRequestedPriority":           "NodeResourcesFit",
	"MostRequestedPriority":            "NodeResourcesFit",
	"RequestedToCapacityRatioPriority": "NodeResourcesFit",
	"BalancedResourceAllocation":       "NodeResourcesBalancedAllocation",
	"SelectorSpreadPriority":           "PodTopologySpread",
	"ServiceSpreadingPriority":         "PodTopologySpread",
	"EvenPodsSpreadPriority":           "PodTopologySpread",
	"InterPodAffinityPriority":         "InterPodAffinity",
	"NodeAffinityPriority":             "NodeAffinity",
	"TaintTolerationPriority":          "TaintToleration",
	"ImageLocalityPriority":            "ImageLocality",
	"EqualPriority":                    "",
}

// noEquivalent are names that were once there and say why there is nothing to translate them into.
var noEquivalent = map[string]string{
	"CheckNodeLabelPresence":      "has no equivalent; use required node affinity, or NodeAffinityArgs.addedAffinity",
	"CheckServiceAffinity":        "has no equivalent; use required pod affinity",
	"NodeLabelPriority":           "has no equivalent; use preferred node affinity, or NodeAffinityArgs.addedAffinity",
	"ServiceAntiAffinityPriority": "has no equivalent; use topologySpreadConstraints",
	"NodePreferAvoidPodsPriority": "has no equivalent; use taints with the effect PreferNoSchedule",
	"ResourceLimitsPriority":      "has no equivalent",
}

// Apply reads a Policy (YAML or JSON) and makes it the one profile of the configuration. The error lists every mistake.
func Apply(data []byte, c *schedulerv1.KubeSchedulerConfiguration) error {
	var p Policy
	if err := yaml.UnmarshalStrict(data, &p); err != nil {
		return err
	}
	if p.Kind != "Policy" || p.APIVersion != "v1" && p.APIVersion != "kubescheduler.config.k8s.io/v1" {
		return fmt.Errorf("apiVersion %q, kind %q: must be v1, Policy", p.APIVersion, p.Kind)
	}
	t := translation{policy: &p, weights: map[string]int64{}}
	profile := t.profile(c)
	extenders := t.extenders()
	if len(t.errs) > 0 {
		return t.errs.ToAggregate()
	}
	c.Profiles = []schedulerv1.KubeSchedulerProfile{profile}
	c.Extenders = append(c.Extenders, extenders...)
	return nil
}

type translation struct {
	policy  *Policy
	errs    field.ErrorList
	weights map[string]int64 // of scores by plugin
	fit     *schedulerv1.ScoringStrategy
}

func (t *translation) profile(c *schedulerv1.KubeSchedulerConfiguration) schedulerv1.KubeSchedulerProfile {
	name := corev1.DefaultSchedulerName
	if len(c.Profiles) > 0 && c.Profiles[0].SchedulerName != nil {
		name = *c.Profiles[0].SchedulerName
	}
	plugins := &schedulerv1.Plugins{}
	if t.policy.Predicates != nil {
		plugins.Filter = t.filters()
		plugins.PreFilter.Disabled = plugins.Filter.Disabled
		plugins.PreFilter.Enabled = slices.DeleteFunc(slices.Clone(plugins.Filter.Enabled), func(p schedulerv1.Plugin) bool {
			return !slices.Contains(preFilters, p.Name)
		})
	}
	if t.policy.Priorities != nil {
		plugins.Score = t.scores()
	}
	profile := schedulerv1.KubeSchedulerProfile{SchedulerName: &name, Plugins: plugins}
	if t.fit != nil {
		profile.PluginConfig = append(profile.PluginConfig, args("NodeResourcesFit", &schedulerv1.NodeResourcesFitArgs{ScoringStrategy: t.fit}))
	}
	if w := t.policy.HardPodAffinitySymmetricWeight; w != 0 {
		if w < 1 || w > 100 {
			t.errs = append(t.errs, field.Invalid(field.NewPath("hardPodAffinitySymmetricWeight"), w, "not in valid range [1-100]"))
		}
		profile.PluginConfig = append(profile.PluginConfig, args("InterPodAffinity", &schedulerv1.InterPodAffinityArgs{HardPodAffinityWeight: ptr.To(w)}))
	}
	return profile
}

// preFilters are the plugins among predicates that also look at a pod before its nodes.
var preFilters = []string{"NodeAffinity", "NodeName", "VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone"}

func args(name string, object runtime.Object) schedulerv1.PluginConfig {
	return schedulerv1.PluginConfig{Name: name, Args: runtime.RawExtension{Object: object}}
}

// filters lists the plugins of the predicates, in the predicates' classic order of cost.
func (t *translation) filters() (set schedulerv1.PluginSet) {
	path := field.NewPath("predicates")
	wanted := map[string]bool{}
	want := func(name string) {
		for _, plugin := range predicates[name] {
			wanted[plugin] = true
		}
	}
	for i, p := range t.policy.Predicates {
		switch at := path.Index(i); {
		case len(p.Argument) > 0:
			t.errs = append(t.errs, field.Forbidden(at.Child("argument"), "custom predicate "+p.Name+" "+noEquivalentFor(p.Name, "CheckNodeLabelPresence")))
		case predicates[p.Name] == nil:
			t.unknown(at, p.Name)
		default:
			want(p.Name)
		}
	}
	for _, name := range mandatory {
		want(name)
	}
	set.Disabled = []schedulerv1.Plugin{{Name: "*"}}
	for _, name := range []string{"NodeUnschedulable", "NodeName", "NodePorts", "NodeAffinity", "NodeResourcesFit", "VolumeRestrictions", "TaintToleration",
		"NodeVolumeLimits", "VolumeBinding", "VolumeZone", "PodTopologySpread", "InterPodAffinity", "DynamicResources", "NodeDeclaredFeatures"} {
		if wanted[name] || name == "DynamicResources" || name == "NodeDeclaredFeatures" {
			set.Enabled = append(set.Enabled, schedulerv1.Plugin{Name: name})
		}
	}
	return set
}

func (t *translation) unknown(at *field.Path, name string) {
	if why, ok := noEquivalent[name]; ok {
		t.errs = append(t.errs, field.Forbidden(at.Child("name"), name+" "+why))
		return
	}
	t.errs = append(t.errs, field.NotFound(at.Child("name"), name))
}

func noEquivalentFor(name, fallback string) string {
	if why, ok := noEquivalent[name]; ok {
		return why
	}
	return noEquivalent[fallback]
}

func (t *translation) scores() (set schedulerv1.PluginSet) {
	path := field.NewPath("priorities")
	set.Disabled = []schedulerv1.Plugin{{Name: "*"}}
	var order []string
	for i := range t.policy.Priorities {
		p := &t.policy.Priorities[i]
		at := path.Index(i)
		if p.Weight <= 0 || p.Weight > 1<<20 {
			t.errs = append(t.errs, field.Invalid(at.Child("weight"), p.Weight, "must be positive and at most 1048576"))
		}
		plugin, ok := priorities[p.Name]
		switch {
		case p.Argument != nil && p.Argument.RequestedToCapacityRatioArguments != nil:
			plugin = "NodeResourcesFit"
			t.strategy(at, schedulerv1.RequestedToCapacityRatio, p.Argument.RequestedToCapacityRatioArguments)
		case p.Argument != nil:
			t.errs = append(t.errs, field.Forbidden(at.Child("argument"), "custom priority "+p.Name+" "+noEquivalentFor(p.Name, "NodeLabelPriority")))
			continue
		case !ok:
			t.unknown(at, p.Name)
			continue
		case p.Name == "LeastRequestedPriority":
			t.strategy(at, schedulerv1.LeastAllocated, nil)
		case p.Name == "MostRequestedPriority":
			t.strategy(at, schedulerv1.MostAllocated, nil)
		case p.Name == "RequestedToCapacityRatioPriority":
			t.errs = append(t.errs, field.Required(at.Child("argument", "requestedToCapacityRatioArguments"), ""))
			continue
		}
		if plugin == "" {
			continue // the same for every node
		}
		if t.weights[plugin] == 0 {
			order = append(order, plugin)
		}
		t.weights[plugin] += p.Weight
	}
	for _, name := range order {
		set.Enabled = append(set.Enabled, schedulerv1.Plugin{Name: name, Weight: ptr.To(int32(t.weights[name]))})
	}
	return set
}

// strategy sets how NodeResourcesFit scores; there is only one.
func (t *translation) strategy(at *field.Path, kind schedulerv1.ScoringStrategyType, ratio *RequestedToCapacityRatio) {
	if t.fit != nil {
		t.errs = append(t.errs, field.Forbidden(at, "only one of LeastRequestedPriority, MostRequestedPriority and RequestedToCapacityRatioPriority can be used"))
		return
	}
	t.fit = &schedulerv1.ScoringStrategy{Type: kind, Resources: []schedulerv1.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}}}
	if ratio != nil {
		t.fit.RequestedToCapacityRatio = &schedulerv1.RequestedToCapacityRatioParam{Shape: ratio.Shape}
		if len(ratio.Resources) > 0 {
			t.fit.Resources = ratio.Resources
		}
	}
}

func (t *translation) extenders() (list []schedulerv1.Extender) {
	for i := range t.policy.Extenders {
		x := &t.policy.Extenders[i]
		at := field.NewPath("extenders").Index(i)
		timeout, err := duration(x.HTTPTimeout)
		if err != nil {
			t.errs = append(t.errs, field.Invalid(at.Child("httpTimeout"), string(x.HTTPTimeout), err.Error()))
		}
		if x.PrioritizeVerb != "" && x.Weight <= 0 {
			t.errs = append(t.errs, field.Invalid(at.Child("weight"), x.Weight, "must have a positive weight applied to it"))
		}
		list = append(list, schedulerv1.Extender{
			URLPrefix: x.URLPrefix, FilterVerb: x.FilterVerb, PreemptVerb: x.PreemptVerb, PrioritizeVerb: x.PrioritizeVerb, Weight: x.Weight,
			BindVerb: x.BindVerb, EnableHTTPS: x.EnableHTTPS, TLSConfig: x.TLSConfig, HTTPTimeout: metav1.Duration{Duration: timeout},
			NodeCacheCapable: x.NodeCacheCapable, ManagedResources: x.ManagedResources, Ignorable: x.Ignorable,
		})
	}
	return list
}

// duration reads nanoseconds, as Policies wrote them, or a duration such as "5s". None is five seconds.
func duration(raw json.RawMessage) (time.Duration, error) {
	if len(raw) == 0 {
		return 5 * time.Second, nil
	}
	var nanoseconds int64
	if err := json.Unmarshal(raw, &nanoseconds); err == nil {
		return time.Duration(nanoseconds), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, err
	}
	return time.ParseDuration(text)
}
