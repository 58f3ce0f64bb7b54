package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
)

// Validate returns every mistake in a defaulted configuration.
func Validate(c *schedulerv1.KubeSchedulerConfiguration) (errs field.ErrorList) {
	if *c.Parallelism <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("parallelism"), *c.Parallelism, "should be an integer value greater than zero"))
	}
	errs = append(errs, validatePercentage(field.NewPath("percentageOfNodesToScore"), c.PercentageOfNodesToScore)...)
	if *c.PodInitialBackoffSeconds <= 0 {
		errs = append(errs, field.Invalid(field.NewPath("podInitialBackoffSeconds"), *c.PodInitialBackoffSeconds, "must be greater than 0"))
	}
	if *c.PodMaxBackoffSeconds < *c.PodInitialBackoffSeconds {
		errs = append(errs, field.Invalid(field.NewPath("podMaxBackoffSeconds"), *c.PodMaxBackoffSeconds, "must be greater than or equal to PodInitialBackoffSeconds"))
	}
	errs = append(errs, validateElection(c, field.NewPath("leaderElection"))...)
	if c.ClientConnection.Burst < 0 {
		errs = append(errs, field.Invalid(field.NewPath("clientConnection", "burst"), c.ClientConnection.Burst, "must be non-negative"))
	}
	names := map[string]int{}
	for i := range c.Profiles {
		p := &c.Profiles[i]
		path := field.NewPath("profiles").Index(i)
		switch name := p.SchedulerName; {
		case name == nil || *name == "":
			errs = append(errs, field.Required(path.Child("schedulerName"), ""))
		default:
			if _, ok := names[*name]; ok {
				errs = append(errs, field.Duplicate(path.Child("schedulerName"), *name))
			}
			names[*name] = i
		}
		errs = append(errs, validateProfile(p, path)...)
	}
	errs = append(errs, validateExtenders(c.Extenders, field.NewPath("extenders"))...)
	return errs
}

func validatePercentage(path *field.Path, value *int32) field.ErrorList {
	if value != nil && (*value < 0 || *value > 100) {
		return field.ErrorList{field.Invalid(path, *value, "not in valid range [0-100]")}
	}
	return nil
}

func validateElection(c *schedulerv1.KubeSchedulerConfiguration, path *field.Path) (errs field.ErrorList) {
	e := &c.LeaderElection
	if !*e.LeaderElect {
		return nil
	}
	if e.LeaseDuration.Duration <= e.RenewDeadline.Duration {
		errs = append(errs, field.Invalid(path.Child("leaseDuration"), e.LeaseDuration, "LeaseDuration must be greater than RenewDeadline"))
	}
	if e.RenewDeadline.Duration <= e.RetryPeriod.Duration {
		errs = append(errs, field.Invalid(path.Child("renewDeadline"), e.RenewDeadline, "RenewDeadline must be greater than RetryPeriod"))
	}
	if e.ResourceLock != "leases" {
		errs = append(errs, field.NotSupported(path.Child("resourceLock"), e.ResourceLock, []string{"leases"}))
	}
	return errs
}

func validateProfile(p *schedulerv1.KubeSchedulerProfile, path *field.Path) (errs field.ErrorList) {
	errs = append(errs, validatePercentage(path.Child("percentageOfNodesToScore"), p.PercentageOfNodesToScore)...)
	seen := map[string]bool{}
	for i := range p.PluginConfig {
		pc := &p.PluginConfig[i]
		at := path.Child("pluginConfig").Index(i)
		if seen[pc.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), pc.Name))
		}
		seen[pc.Name] = true
		args, known, err := Args(pc.Name, pc.Args)
		if err != nil {
			errs = append(errs, field.Invalid(at.Child("args"), pc.Name, err.Error()))
		} else if known {
			errs = append(errs, validateArgs(args, at.Child("args"))...)
		}
	}
	return errs
}

func validateArgs(args any, path *field.Path) field.ErrorList {
	switch a := args.(type) {
	case *schedulerv1.DefaultPreemptionArgs:
		return validatePreemption(a, path)
	case *schedulerv1.InterPodAffinityArgs:
		if w := *a.HardPodAffinityWeight; w < 0 || w > 100 {
			return field.ErrorList{field.Invalid(path.Child("hardPodAffinityWeight"), w, "not in valid range [0-100]")}
		}
	case *schedulerv1.NodeAffinityArgs:
		return validateAffinity(a.AddedAffinity, path.Child("addedAffinity"))
	case *schedulerv1.NodeResourcesBalancedAllocationArgs:
		return validateResources(a.Resources, path.Child("resources"), 1)
	case *schedulerv1.NodeResourcesFitArgs:
		return validateFit(a, path)
	case *schedulerv1.PodTopologySpreadArgs:
		return validateSpread(a, path)
	case *schedulerv1.VolumeBindingArgs:
		var errs field.ErrorList
		if *a.BindTimeoutSeconds < 0 {
			errs = append(errs, field.Invalid(path.Child("bindTimeoutSeconds"), *a.BindTimeoutSeconds, "invalid BindTimeoutSeconds, should not be a negative value"))
		}
		if len(a.Shape) > 0 {
			errs = append(errs, validateShape(a.Shape, path.Child("shape"))...)
		}
		return errs
	case *schedulerv1.DynamicResourcesArgs:
		var errs field.ErrorList
		if a.FilterTimeout.Duration < 0 {
			errs = append(errs, field.Invalid(path.Child("filterTimeout"), a.FilterTimeout, "must be zero or positive"))
		}
		if a.BindingTimeout.Seconds() < 1 {
			errs = append(errs, field.Invalid(path.Child("bindingTimeout"), a.BindingTimeout, "must be at least 1 second"))
		}
		return errs
	}
	return nil
}

func validatePreemption(a *schedulerv1.DefaultPreemptionArgs, path *field.Path) (errs field.ErrorList) {
	percentage, absolute := *a.MinCandidateNodesPercentage, *a.MinCandidateNodesAbsolute
	if percentage < 0 || percentage > 100 {
		errs = append(errs, field.Invalid(path.Child("minCandidateNodesPercentage"), percentage, "not in valid range [0, 100]"))
	}
	if absolute < 0 {
		errs = append(errs, field.Invalid(path.Child("minCandidateNodesAbsolute"), absolute, "not in valid range [0, inf)"))
	}
	if percentage == 0 && absolute == 0 {
		errs = append(errs, field.Invalid(path.Child("minCandidateNodesPercentage"), percentage, "cannot be zero at the same time as minCandidateNodesAbsolute"))
	}
	return errs
}

func validateAffinity(a *corev1.NodeAffinity, path *field.Path) (errs field.ErrorList) {
	if a == nil {
		return nil
	}
	check := func(at *field.Path, list []corev1.NodeSelectorRequirement) {
		operators := []string{"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"}
		for i := range list {
			if !slices.Contains(operators, string(list[i].Operator)) {
				errs = append(errs, field.NotSupported(at.Index(i).Child("operator"), list[i].Operator, operators))
			}
			if list[i].Key == "" {
				errs = append(errs, field.Required(at.Index(i).Child("key"), ""))
			}
		}
	}
	if required := a.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
		at := path.Child("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
		if len(required.NodeSelectorTerms) == 0 {
			errs = append(errs, field.Required(at, "must have at least one node selector term"))
		}
		for i := range required.NodeSelectorTerms {
			check(at.Index(i).Child("matchExpressions"), required.NodeSelectorTerms[i].MatchExpressions)
			check(at.Index(i).Child("matchFields"), required.NodeSelectorTerms[i].MatchFields)
		}
	}
	for i := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		p := &a.PreferredDuringSchedulingIgnoredDuringExecution[i]
		at := path.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i)
		if p.Weight <= 0 || p.Weight > 100 {
			errs = append(errs, field.Invalid(at.Child("weight"), p.Weight, "must be in the range 1-100"))
		}
		check(at.Child("preference", "matchExpressions"), p.Preference.MatchExpressions)
		check(at.Child("preference", "matchFields"), p.Preference.MatchFields)
	}
	return errs
}

func validateResources(resources []schedulerv1.ResourceSpec, path *field.Path, maxWeight int64) (errs field.ErrorList) {
	seen := map[string]bool{}
	for i, r := range resources {
		if r.Weight < 1 || r.Weight > maxWeight {
			errs = append(errs, field.Invalid(path.Index(i).Child("weight"), r.Weight, fmt.Sprintf("resource weight of %s not in valid range [1-%d]", r.Name, maxWeight)))
		}
		if seen[r.Name] {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), r.Name))
		}
		seen[r.Name] = true
		for _, msg := range validation.IsQualifiedName(r.Name) {
			errs = append(errs, field.Invalid(path.Index(i).Child("name"), r.Name, msg))
		}
	}
	return errs
}

func validateFit(a *schedulerv1.NodeResourcesFitArgs, path *field.Path) (errs field.ErrorList) {
	for i, name := range a.IgnoredResources {
		for _, msg := range validation.IsQualifiedName(name) {
			errs = append(errs, field.Invalid(path.Child("ignoredResources").Index(i), name, msg))
		}
	}
	for i, name := range a.IgnoredResourceGroups {
		at := path.Child("ignoredResourceGroups").Index(i)
		if strings.Contains(name, "/") {
			errs = append(errs, field.Invalid(at, name, "resource group name can't contain '/'"))
			continue
		}
		for _, msg := range validation.IsQualifiedName(name) {
			errs = append(errs, field.Invalid(at, name, msg))
		}
	}
	at := path.Child("scoringStrategy")
	errs = append(errs, validateResources(a.ScoringStrategy.Resources, at.Child("resources"), 100)...)
	switch a.ScoringStrategy.Type {
	case schedulerv1.LeastAllocated, schedulerv1.MostAllocated:
	case schedulerv1.RequestedToCapacityRatio:
		if a.ScoringStrategy.RequestedToCapacityRatio == nil {
			errs = append(errs, field.Required(at.Child("requestedToCapacityRatio", "shape"), "at least one point must be specified"))
		} else {
			errs = append(errs, validateShape(a.ScoringStrategy.RequestedToCapacityRatio.Shape, at.Child("requestedToCapacityRatio", "shape"))...)
		}
	default:
		errs = append(errs, field.NotSupported(at.Child("type"), a.ScoringStrategy.Type,
			[]schedulerv1.ScoringStrategyType{schedulerv1.LeastAllocated, schedulerv1.MostAllocated, schedulerv1.RequestedToCapacityRatio}))
	}
	return errs
}

func validateShape(shape []schedulerv1.UtilizationShapePoint, path *field.Path) (errs field.ErrorList) {
	if len(shape) == 0 {
		return field.ErrorList{field.Required(path, "at least one point must be specified")}
	}
	for i, p := range shape {
		if p.Utilization < 0 || p.Utilization > 100 {
			errs = append(errs, field.Invalid(path.Index(i).Child("utilization"), p.Utilization, "not in valid range [0-100]"))
		}
		if p.Score < 0 || p.Score > 10 {
			errs = append(errs, field.Invalid(path.Index(i).Child("score"), p.Score, "not in valid range [0-10]"))
		}
		if i > 0 && p.Utilization <= shape[i-1].Utilization {
			errs = append(errs, field.Invalid(path.Index(i).Child("utilization"), p.Utilization, "utilization values must be sorted in increasing order"))
		}
	}
	return errs
}

func validateSpread(a *schedulerv1.PodTopologySpreadArgs, path *field.Path) (errs field.ErrorList) {
	switch a.DefaultingType {
	case schedulerv1.SystemDefaulting, schedulerv1.ListDefaulting:
	default:
		errs = append(errs, field.NotSupported(path.Child("defaultingType"), a.DefaultingType,
			[]schedulerv1.PodTopologySpreadConstraintsDefaulting{schedulerv1.SystemDefaulting, schedulerv1.ListDefaulting}))
	}
	if a.DefaultingType == schedulerv1.SystemDefaulting && len(a.DefaultConstraints) > 0 {
		errs = append(errs, field.Invalid(path.Child("defaultingType"), a.DefaultingType, "when .defaultConstraints are specified, use \"List\""))
	}
	seen := map[string]bool{}
	for i := range a.DefaultConstraints {
		c := &a.DefaultConstraints[i]
		at := path.Child("defaultConstraints").Index(i)
		if c.MaxSkew <= 0 {
			errs = append(errs, field.Invalid(at.Child("maxSkew"), c.MaxSkew, "not in valid range (0, inf)"))
		}
		if c.TopologyKey == "" {
			errs = append(errs, field.Required(at.Child("topologyKey"), "can not be empty"))
		}
		if c.WhenUnsatisfiable != corev1.DoNotSchedule && c.WhenUnsatisfiable != corev1.ScheduleAnyway {
			errs = append(errs, field.NotSupported(at.Child("whenUnsatisfiable"), c.WhenUnsatisfiable,
				[]corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}))
		}
		if c.LabelSelector != nil {
			errs = append(errs, field.Forbidden(at.Child("labelSelector"), "constraint must not define a selector, as they deduced for each pod"))
		}
		key := c.TopologyKey + "/" + string(c.WhenUnsatisfiable)
		if seen[key] {
			errs = append(errs, field.Duplicate(at, key))
		}
		seen[key] = true
	}
	return errs
}

func validateExtenders(extenders []schedulerv1.Extender, path *field.Path) (errs field.ErrorList) {
	binders := 0
	managed := map[string]bool{}
	for i := range extenders {
		x := &extenders[i]
		at := path.Index(i)
		if parsed, err := url.Parse(x.URLPrefix); x.URLPrefix == "" || err != nil || parsed.Host == "" {
			errs = append(errs, field.Invalid(at.Child("urlPrefix"), x.URLPrefix, "must be a URL with a host"))
		}
		if x.PrioritizeVerb != "" && x.Weight <= 0 {
			errs = append(errs, field.Invalid(at.Child("weight"), x.Weight, "must have a positive weight applied to it"))
		}
		if x.BindVerb != "" {
			if binders++; binders > 1 {
				errs = append(errs, field.Invalid(at.Child("bindVerb"), x.BindVerb, "only one extender can implement bind"))
			}
		}
		for j := range x.ManagedResources {
			r := &x.ManagedResources[j]
			rat := at.Child("managedResources").Index(j).Child("name")
			for _, msg := range validation.IsQualifiedName(r.Name) {
				errs = append(errs, field.Invalid(rat, r.Name, msg))
			}
			if managed[r.Name] {
				errs = append(errs, field.Duplicate(rat, r.Name))
			}
			managed[r.Name] = true
		}
	}
	return errs
}
