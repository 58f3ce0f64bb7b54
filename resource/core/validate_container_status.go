package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podRestarts: a container that has ended for good cannot be reported as going again.
func podRestarts(status *corev1.PodStatus, old *corev1.Pod) field.ErrorList {
	spec := &old.Spec
	never := func(string, int32) bool { return false }
	var errs field.ErrorList
	if !allMayRestart(spec) {
		errs = append(errs, restarts(status.ContainerStatuses, old.Status.ContainerStatuses, statusPath.Child("containerStatuses"), mayRestart(spec, spec.Containers))...)
		errs = append(errs, restarts(status.InitContainerStatuses, old.Status.InitContainerStatuses, statusPath.Child("initContainerStatuses"), mayRestart(spec, spec.InitContainers))...)
	}
	return append(errs, restarts(status.EphemeralContainerStatuses, old.Status.EphemeralContainerStatuses, statusPath.Child("ephemeralContainerStatuses"), never)...)
}

// allMayRestart: one container's end may start all of them again (KEP-5532).
func allMayRestart(spec *corev1.PodSpec) bool {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if slices.ContainsFunc(list[i].RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
				return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
			}) {
				return true
			}
		}
	}
	return false
}

// mayRestart tells whether a container may start again after an exit code: by its rules, its own policy, or the pod's.
func mayRestart(spec *corev1.PodSpec, containers []corev1.Container) func(name string, code int32) bool {
	return func(name string, code int32) bool {
		i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == name })
		if i < 0 {
			return false
		}
		c := &containers[i]
		for _, rule := range c.RestartPolicyRules {
			if rule.ExitCodes != nil && slices.Contains(rule.ExitCodes.Values, code) == (rule.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
				return true
			}
		}
		policy := spec.RestartPolicy
		if c.RestartPolicy != nil {
			policy = corev1.RestartPolicy(*c.RestartPolicy)
		}
		return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && code != 0
	}
}

func restarts(now, old []corev1.ContainerStatus, path *field.Path, may func(name string, code int32) bool) field.ErrorList {
	var errs field.ErrorList
	for i, before := range old {
		ended := before.State.Terminated
		if ended == nil || may(before.Name, ended.ExitCode) {
			continue
		}
		for _, after := range now {
			if after.Name == before.Name && after.State.Terminated == nil {
				errs = append(errs, field.Forbidden(path.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
			}
		}
	}
	return errs
}

// containerUsers checks whom containers run as.
func containerUsers(statuses []corev1.ContainerStatus, os *corev1.PodOS, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range statuses {
		user := statuses[i].User
		if user == nil || user.Linux == nil {
			continue
		}
		at := path.Index(i).Child("user", "linux")
		switch {
		case os == nil || os.Name == corev1.Linux:
			errs = append(errs, invalidEach(at.Child("uid"), user.Linux.UID, validation.IsValidUserID(user.Linux.UID))...)
			errs = append(errs, invalidEach(at.Child("gid"), user.Linux.GID, validation.IsValidGroupID(user.Linux.GID))...)
			for j, group := range user.Linux.SupplementalGroups {
				errs = append(errs, invalidEach(at.Child("supplementalGroups").Index(j), group, validation.IsValidGroupID(group))...)
			}
		case os.Name == corev1.Windows:
			errs = append(errs, field.Forbidden(at, "cannot be set for a windows pod"))
		}
	}
	return errs
}

// deviceHealth checks what is told of devices (KEP-4680). Ephemeral containers have none.
func deviceHealth(statuses []corev1.ContainerStatus, containers []corev1.Container, path *field.Path, none bool) field.ErrorList {
	var errs field.ErrorList
	for i := range statuses {
		at := path.Index(i).Child("allocatedResourcesStatus")
		if none {
			if len(statuses[i].AllocatedResourcesStatus) > 0 {
				errs = append(errs, field.Forbidden(at, "must not be specified in container status"))
			}
			continue
		}
		j := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == statuses[i].Name })
		for k := range statuses[i].AllocatedResourcesStatus {
			status := &statuses[i].AllocatedResourcesStatus[k]
			if j >= 0 {
				errs = append(errs, hasResource(&containers[j], status.Name, at.Index(k).Child("name"))...)
			}
			errs = append(errs, healthOf(status.Resources, at.Index(k).Child("resources"))...)
		}
	}
	return errs
}

// hasResource: what is told of is what the container asked for.
func hasResource(c *corev1.Container, name corev1.ResourceName, path *field.Path) field.ErrorList {
	wanted, claimed := strings.CutPrefix(string(name), "claim:")
	if !claimed {
		if _, ok := c.Resources.Requests[name]; !ok {
			return field.ErrorList{field.Invalid(path, name, "must match one of the container's resource requests")}
		}
		return nil
	}
	for _, claim := range c.Resources.Claims {
		if claim.Request == "" && claim.Name == wanted || claim.Request != "" && claim.Name+"/"+claim.Request == wanted {
			return nil
		}
	}
	return field.ErrorList{field.Invalid(path, name,
		"must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty")}
}

func healthOf(resources []corev1.ResourceHealth, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[corev1.ResourceID]()
	for i, r := range resources {
		at := path.Index(i)
		errs = append(errs, oneOfIfSet(&r.Health, at.Child("health"),
			corev1.ResourceHealthStatusHealthy, corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown)...)
		if m := r.Message; m != nil && *m == "" {
			errs = append(errs, field.Required(at.Child("message"), "must be non-empty if specified"))
		} else if m != nil && len(*m) > corev1.ResourceHealthMessageMaxLength {
			errs = append(errs, field.TooLong(at.Child("message"), *m, corev1.ResourceHealthMessageMaxLength))
		}
		if seen.Has(r.ResourceID) {
			errs = append(errs, field.Duplicate(at.Child("resourceID"), r.ResourceID))
		}
		seen.Insert(r.ResourceID)
	}
	return errs
}
