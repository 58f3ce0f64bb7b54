package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// hooksAndProbes checks what containers have that keep running.
func (c *podCheck) hooksAndProbes(container *corev1.Container, path *field.Path) field.ErrorList {
	errs := c.lifecycle(container.Lifecycle, path.Child("lifecycle"))
	liveness, startup := path.Child("livenessProbe"), path.Child("startupProbe")
	errs = append(errs, c.probe(container.LivenessProbe, liveness)...)
	errs = append(errs, onceIsEnough(container.LivenessProbe, liveness)...)
	errs = append(errs, c.probe(container.ReadinessProbe, path.Child("readinessProbe"))...)
	if p := container.ReadinessProbe; p != nil && p.TerminationGracePeriodSeconds != nil {
		errs = append(errs, field.Invalid(path.Child("readinessProbe", "terminationGracePeriodSeconds"), *p.TerminationGracePeriodSeconds,
			"must not be set for readinessProbes"))
	}
	errs = append(errs, c.probe(container.StartupProbe, startup)...)
	return append(errs, onceIsEnough(container.StartupProbe, startup)...)
}

func onceIsEnough(probe *corev1.Probe, path *field.Path) field.ErrorList {
	if probe != nil && probe.SuccessThreshold != 1 {
		return field.ErrorList{field.Invalid(path.Child("successThreshold"), probe.SuccessThreshold, "must be 1")}
	}
	return nil
}

func (c *podCheck) probe(probe *corev1.Probe, path *field.Path) field.ErrorList {
	if probe == nil {
		return nil
	}
	errs := c.handler(corev1.LifecycleHandler{Exec: probe.Exec, HTTPGet: probe.HTTPGet, TCPSocket: probe.TCPSocket}, probe.GRPC, path)
	errs = append(errs, NonNegative(probe.InitialDelaySeconds, path.Child("initialDelaySeconds"))...)
	errs = append(errs, NonNegative(probe.TimeoutSeconds, path.Child("timeoutSeconds"))...)
	errs = append(errs, NonNegative(probe.PeriodSeconds, path.Child("periodSeconds"))...)
	errs = append(errs, NonNegative(probe.SuccessThreshold, path.Child("successThreshold"))...)
	errs = append(errs, NonNegative(probe.FailureThreshold, path.Child("failureThreshold"))...)
	if grace := probe.TerminationGracePeriodSeconds; grace != nil && *grace <= 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *grace, "must be greater than 0"))
	}
	return errs
}

func (c *podCheck) lifecycle(lifecycle *corev1.Lifecycle, path *field.Path) field.ErrorList {
	if lifecycle == nil {
		return nil
	}
	var errs field.ErrorList
	if lifecycle.PostStart != nil {
		errs = append(errs, c.handler(*lifecycle.PostStart, nil, path.Child("postStart"))...)
	}
	if lifecycle.PreStop != nil {
		errs = append(errs, c.handler(*lifecycle.PreStop, nil, path.Child("preStop"))...)
	}
	return errs
}

// handler checks that there is exactly one way to act, and its fields.
func (c *podCheck) handler(h corev1.LifecycleHandler, grpc *corev1.GRPCAction, path *field.Path) field.ErrorList {
	type action struct {
		name  string
		set   bool
		check func(*field.Path) field.ErrorList
	}
	var errs field.ErrorList
	set := 0
	for _, a := range []action{
		{"exec", h.Exec != nil, func(at *field.Path) field.ErrorList {
			if len(h.Exec.Command) == 0 {
				return field.ErrorList{field.Required(at.Child("command"), "")}
			}
			return nil
		}},
		{"httpGet", h.HTTPGet != nil, func(at *field.Path) field.ErrorList { return httpGet(h.HTTPGet, at) }},
		{"tcpSocket", h.TCPSocket != nil, func(at *field.Path) field.ErrorList { return portOrName(h.TCPSocket.Port, at.Child("port")) }},
		{"grpc", grpc != nil, func(at *field.Path) field.ErrorList { return portOrName(intstr.FromInt32(grpc.Port), at.Child("port")) }},
		{"sleep", h.Sleep != nil, func(at *field.Path) field.ErrorList {
			if h.Sleep.Seconds < 0 || h.Sleep.Seconds > c.grace {
				return field.ErrorList{field.Invalid(at, h.Sleep.Seconds,
					fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", c.grace))}
			}
			return nil
		}},
	} {
		if !a.set {
			continue
		}
		set++
		if set > 1 {
			errs = append(errs, field.Forbidden(path.Child(a.name), "may not specify more than 1 handler type"))
			continue
		}
		errs = append(errs, a.check(path.Child(a.name))...)
	}
	if set == 0 {
		errs = append(errs, field.Required(path, "must specify a handler type"))
	}
	return errs
}

func httpGet(get *corev1.HTTPGetAction, path *field.Path) field.ErrorList {
	errs := given(get.Path, path.Child("path"))
	errs = append(errs, portOrName(get.Port, path.Child("port"))...)
	if get.Scheme != corev1.URISchemeHTTP && get.Scheme != corev1.URISchemeHTTPS {
		errs = append(errs, field.NotSupported(path.Child("scheme"), get.Scheme, []corev1.URIScheme{corev1.URISchemeHTTP, corev1.URISchemeHTTPS}))
	}
	for _, header := range get.HTTPHeaders {
		errs = append(errs, invalidEach(path.Child("httpHeaders"), header.Name, validation.IsHTTPHeaderName(header.Name))...)
	}
	return errs
}
