package core

import (
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

func defaultContainer(c *corev1.Container) {
	setIfEmpty(&c.ImagePullPolicy, pullPolicyOf(c.Image))
	setIfEmpty(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	setIfEmpty(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		setIfEmpty(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil {
			defaultFieldRef(from.FieldRef)
			if from.FileKeyRef != nil && from.FileKeyRef.Optional == nil {
				from.FileKeyRef.Optional = ptr.To(false)
			}
		}
	}
	roundResources(c.Resources.Limits)
	roundResources(c.Resources.Requests)
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		defaultProbe(probe)
	}
	if c.Lifecycle != nil {
		for _, handler := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if handler != nil {
				defaultHTTPGet(handler.HTTPGet)
			}
		}
	}
}

func defaultProbe(probe *corev1.Probe) {
	if probe == nil {
		return
	}
	setIfEmpty(&probe.TimeoutSeconds, 1)
	setIfEmpty(&probe.PeriodSeconds, 10)
	setIfEmpty(&probe.SuccessThreshold, 1)
	setIfEmpty(&probe.FailureThreshold, 3)
	defaultHTTPGet(probe.HTTPGet)
	if probe.GRPC != nil && probe.GRPC.Service == nil {
		probe.GRPC.Service = ptr.To("")
	}
}

func defaultHTTPGet(get *corev1.HTTPGetAction) {
	if get != nil {
		setIfEmpty(&get.Path, "/")
		setIfEmpty(&get.Scheme, corev1.URISchemeHTTP)
	}
}

func defaultFieldRef(ref *corev1.ObjectFieldSelector) {
	if ref != nil {
		setIfEmpty(&ref.APIVersion, "v1")
	}
}

// pullPolicyOf: an image whose tag may move is always pulled, any other only if it is not there.
func pullPolicyOf(image string) corev1.PullPolicy {
	name, _, pinned := strings.Cut(image, "@")
	last := name[strings.LastIndexByte(name, '/')+1:]
	repository, tag, tagged := strings.Cut(last, ":")
	switch {
	case repository == "", strings.ToLower(repository) != repository:
		return corev1.PullIfNotPresent // no image name at all: validation or the node will say so
	case tag == "latest", !tagged && !pinned:
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// roundResources rounds up to thousandths, the smallest amount that the API keeps.
func roundResources(list corev1.ResourceList) {
	for name, amount := range list {
		if !finerThanMilli(&amount) {
			continue
		}
		amount.RoundUp(resource.Milli)
		list[name] = amount
	}
}

// finerThanMilli spares most quantities the rewriting: whole numbers of thousandths stay as they are.
func finerThanMilli(amount *resource.Quantity) bool {
	milli := amount.MilliValue()
	if milli == math.MaxInt64 || milli == math.MinInt64 {
		return true
	}
	return amount.Cmp(*resource.NewMilliQuantity(milli, amount.Format)) != 0
}

func setIfEmpty[T comparable](field *T, value T) {
	var empty T
	if *field == empty {
		*field = value
	}
}
