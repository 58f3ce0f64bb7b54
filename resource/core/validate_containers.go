package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podCheck is what the parts of a pod's validation know about the whole.
type podCheck struct {
	// isPod is false for templates, which may leave open what is filled in later.
	isPod bool
	spec  *corev1.PodSpec
	// known are the pod's volumes that are good, by name.
	known map[string]*corev1.VolumeSource
	// claims are the names in spec.resourceClaims.
	claims sets.Set[string]
	// grace is the pod's termination grace period in seconds.
	grace int64
}

// hostUsers says whether containers use the host's user namespace.
func (c *podCheck) hostUsers() bool { return c.spec.HostUsers == nil || *c.spec.HostUsers }

// mainContainers checks spec.containers.
func (c *podCheck) mainContainers(path *field.Path) field.ErrorList {
	containers := c.spec.Containers
	if len(containers) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range containers {
		container, at := &containers[i], path.Index(i)
		errs = append(errs, c.container(container, at)...)
		if names.Has(container.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), container.Name))
		}
		names.Insert(container.Name)
		errs = append(errs, c.hooksAndProbes(container, at)...)
		errs = append(errs, restartRules(container, at)...)
	}
	return append(errs, hostPortConflicts(containers, path)...)
}

// initContainers checks spec.initContainers, sidecars among them.
func (c *podCheck) initContainers(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range c.spec.Containers {
		names.Insert(c.spec.Containers[i].Name)
	}
	for i := range c.spec.InitContainers {
		container, at := &c.spec.InitContainers[i], path.Index(i)
		errs = append(errs, c.container(container, at)...)
		errs = append(errs, restartRules(container, at)...)
		if names.Has(container.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), container.Name))
		} else if container.Name != "" {
			names.Insert(container.Name)
		}
		// They run one after the other, so only ports of the same container can be in each other's way.
		errs = append(errs, hostPortConflicts(c.spec.InitContainers[i:i+1], path)...)
		if Sidecar(container) {
			errs = append(errs, c.hooksAndProbes(container, at)...)
			continue
		}
		errs = append(errs, notForInit(container, at)...)
	}
	return errs
}

// notForInit refuses what only makes sense for a container that keeps running.
func notForInit(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"lifecycle", c.Lifecycle != nil},
		{"livenessProbe", c.LivenessProbe != nil},
		{"readinessProbe", c.ReadinessProbe != nil},
		{"startupProbe", c.StartupProbe != nil},
	} {
		if f.set {
			errs = append(errs, field.Forbidden(path.Child(f.name), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	for i, p := range c.ResizePolicy {
		if p.RestartPolicy == corev1.RestartContainer {
			errs = append(errs, field.Invalid(path.Child("resizePolicy").Index(i).Child("restartPolicy"), p.RestartPolicy,
				"must not be set to 'RestartContainer' for non-sidecar initContainers"))
		}
	}
	return errs
}

// container checks what all sorts of containers have in common.
func (c *podCheck) container(container *corev1.Container, path *field.Path) field.ErrorList {
	errs := label(container.Name, path.Child("name"))
	errs = append(errs, given(container.Image, path.Child("image"))...)
	errs = append(errs, OneOf(container.TerminationMessagePolicy, path.Child("terminationMessagePolicy"),
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, containerPorts(container.Ports, path.Child("ports"))...)
	errs = append(errs, c.env(container.Env, path.Child("env"))...)
	errs = append(errs, envFrom(container.EnvFrom, path.Child("envFrom"))...)
	errs = append(errs, c.mounts(container, path.Child("volumeMounts"))...)
	errs = append(errs, c.devices(container, path.Child("volumeDevices"))...)
	errs = append(errs, checkPullPolicy(container.ImagePullPolicy, path.Child("imagePullPolicy"))...)
	errs = append(errs, containerResources(&container.Resources, c.claims, path.Child("resources"))...)
	errs = append(errs, resizePolicies(container.ResizePolicy, c.spec.RestartPolicy, path.Child("resizePolicy"))...)
	return append(errs, c.securityContext(container.SecurityContext, path.Child("securityContext"))...)
}

// onlyForPods checks what templates of old may have had.
func onlyForPods(containers []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range containers {
		errs = append(errs, trimmedImage(containers[i].Image, path.Index(i))...)
	}
	return errs
}

func trimmedImage(image string, path *field.Path) field.ErrorList {
	if image != strings.TrimSpace(image) {
		return field.ErrorList{field.Invalid(path.Child("image"), image, "must not have leading or trailing whitespace")}
	}
	return nil
}

func containerPorts(ports []corev1.ContainerPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, port := range ports {
		at := path.Index(i)
		if port.Name != "" {
			if wrong := validation.IsValidPortName(port.Name); len(wrong) > 0 {
				errs = append(errs, invalidEach(at.Child("name"), port.Name, wrong)...)
			} else if names.Has(port.Name) {
				errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
			}
			names.Insert(port.Name)
		}
		if port.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, invalidEach(at.Child("containerPort"), port.ContainerPort, validation.IsValidPortNum(int(port.ContainerPort)))...)
		}
		if port.HostPort != 0 {
			errs = append(errs, invalidEach(at.Child("hostPort"), port.HostPort, validation.IsValidPortNum(int(port.HostPort)))...)
		}
		errs = append(errs, protocol(port.Protocol, at.Child("protocol"))...)
	}
	return errs
}

func protocol(p corev1.Protocol, path *field.Path) field.ErrorList {
	return OneOf(p, path, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
}

// hostPortConflicts: two containers of a pod cannot have the same port of the node.
func hostPortConflicts(containers []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	taken := sets.New[string]()
	for i := range containers {
		for j, port := range containers[i].Ports {
			if port.HostPort == 0 {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
			if taken.Has(key) {
				errs = append(errs, field.Duplicate(path.Index(i).Child("ports").Index(j).Child("hostPort"), key))
			}
			taken.Insert(key)
		}
	}
	return errs
}

// hostNetworkPorts: on the host's network, ports are those of the host. Templates may leave them open.
func (c *podCheck) hostNetworkPorts(containers []corev1.Container, path *field.Path) field.ErrorList {
	if !c.spec.HostNetwork {
		return nil
	}
	var errs field.ErrorList
	for i := range containers {
		for j, port := range containers[i].Ports {
			if (c.isPod || port.HostPort != 0) && port.HostPort != port.ContainerPort {
				errs = append(errs, field.Invalid(path.Index(i).Child("ports").Index(j).Child("hostPort"), port.HostPort,
					"must match `containerPort` when `hostNetwork` is true"))
			}
		}
	}
	return errs
}

// resizePolicies says how resources may change while a container runs (KEP-1287).
func resizePolicies(policies []corev1.ContainerResizePolicy, restart corev1.RestartPolicy, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[corev1.ResourceName]()
	for i, p := range policies {
		if seen.Has(p.ResourceName) {
			errs = append(errs, field.Duplicate(path.Index(i), p.ResourceName))
		}
		seen.Insert(p.ResourceName)
		errs = append(errs, OneOf(p.ResourceName, path, corev1.ResourceCPU, corev1.ResourceMemory)...)
		errs = append(errs, OneOf(p.RestartPolicy, path, corev1.NotRequired, corev1.RestartContainer)...)
		if restart == corev1.RestartPolicyNever && p.RestartPolicy != corev1.NotRequired {
			errs = append(errs, field.Invalid(path, p.RestartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
		}
	}
	return errs
}

// The most rules that a container may have for its restarts, and the most exit codes in one (KEP-5307).
const (
	maxRestartRules = 20
	maxExitCodes    = 255
)

// restartRules checks a container's own restart policy.
func restartRules(c *corev1.Container, path *field.Path) field.ErrorList {
	errs := oneOfIfSet(c.RestartPolicy, path.Child("restartPolicy"),
		corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)
	rules, at := c.RestartPolicyRules, path.Child("restartPolicyRules")
	if c.RestartPolicy == nil && len(rules) > 0 {
		errs = append(errs, field.Required(path.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"))
	}
	if len(rules) > maxRestartRules {
		errs = append(errs, field.TooMany(at, len(rules), maxRestartRules))
	}
	for i, rule := range rules {
		errs = append(errs, oneOfIfSet(&rule.Action, at.Index(i).Child("action"),
			corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)...)
		codes := at.Index(i).Child("exitCodes")
		if rule.ExitCodes == nil {
			errs = append(errs, field.Required(codes, "must be specified"))
			continue
		}
		errs = append(errs, oneOfIfSet(&rule.ExitCodes.Operator, codes.Child("operator"),
			corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
		if len(rule.ExitCodes.Values) > maxExitCodes {
			errs = append(errs, field.TooMany(codes.Child("values"), len(rule.ExitCodes.Values), maxExitCodes))
		}
	}
	return errs
}
