// Package services gives Services their cluster IPs and node ports. An address belongs to the Service that its IPAddress
// object names, a port to the one that set its bit in the range's map, as upstream keeps them: both are taken in etcd before the
// Service is written, and given back if it is not.
package services

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// Allocator takes addresses and ports for Services and gives them back.
type Allocator struct {
	addresses addresses
	ports     ports
	// families are the cluster's, the primary first.
	families []corev1.IPFamily
}

// Config is what an Allocator needs.
type Config struct {
	Resources *rest.Registry
	Etcd      *clientv3.Client
	// Prefix is that of all keys in etcd: "/registry".
	Prefix string
	// CIDRs are the ranges of cluster IPs that the server was started with, one a family.
	CIDRs []netip.Prefix
	// NodePorts is a range like "30000-32767", which it is if empty.
	NodePorts string
}

// New returns an Allocator. Errors name the flag whose value is wrong.
func New(config Config) (*Allocator, error) {
	first, last, err := parseRange(config.NodePorts)
	if err != nil {
		return nil, err
	}
	a := &Allocator{
		addresses: addresses{resources: config.Resources, configured: config.CIDRs},
		ports:     ports{etcd: config.Etcd, key: config.Prefix + "/ranges/servicenodeports", first: first, last: last},
	}
	for _, cidr := range config.CIDRs {
		a.families = append(a.families, familyOf(cidr.Addr()))
	}
	if len(a.families) == 0 || len(a.families) > 2 || len(a.families) == 2 && a.families[0] == a.families[1] {
		return nil, fmt.Errorf("--service-cluster-ip-range: one range an IP family is needed, got %v", config.CIDRs)
	}
	return a, nil
}

func familyOf(address netip.Addr) corev1.IPFamily {
	if address.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// Hooks are what the resource "services" calls.
func (a *Allocator) Hooks() rest.Hooks {
	return rest.Hooks{
		BeforeCreate: func(ctx context.Context, r *resource.Request, obj resource.Object) (rest.Undo, error) {
			return a.write(ctx, r, obj.(*corev1.Service), nil)
		},
		BeforeUpdate: func(ctx context.Context, r *resource.Request, obj, old resource.Object) (rest.Undo, error) {
			if r.Subresource != "" {
				return nil, nil
			}
			return a.write(ctx, r, obj.(*corev1.Service), old.(*corev1.Service))
		},
		AfterUpdate: func(ctx context.Context, obj, old resource.Object) {
			a.release(ctx, holdings(old.(*corev1.Service)).without(holdings(obj.(*corev1.Service))))
		},
		AfterDelete: func(ctx context.Context, obj resource.Object) { a.release(ctx, holdings(obj.(*corev1.Service))) },
	}
}

// write fills in what a Service asks for and takes it. old is nil on create.
func (a *Allocator) write(ctx context.Context, r *resource.Request, service, old *corev1.Service) (rest.Undo, error) {
	if old != nil {
		keepAllocated(service, old)
	}
	if errs := a.setFamilies(service, old); len(errs) > 0 {
		return nil, invalid(service, errs)
	}
	t := &taking{a: a, ctx: context.WithoutCancel(ctx), service: service, dry: r.DryRun}
	if old != nil {
		t.had = holdings(old)
	}
	t.takeAddresses()
	t.takePorts()
	if len(t.errs) > 0 || t.err != nil {
		t.giveBack()
	}
	switch {
	case t.err != nil:
		return nil, apierrors.NewInternalError(t.err)
	case len(t.errs) > 0:
		return nil, invalid(service, t.errs)
	case r.DryRun:
		return nil, nil
	}
	return t.giveBack, nil
}

func invalid(service *corev1.Service, errs field.ErrorList) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), service.Name, errs)
}

// taking is one write's way through the ranges.
type taking struct {
	a       *Allocator
	ctx     context.Context
	service *corev1.Service
	// dry takes nothing: it only finds out what would be taken.
	dry bool
	// had is what the Service holds already, new what was taken now.
	had, new holding
	errs     field.ErrorList
	err      error
}

func (t *taking) giveBack() {
	if !t.dry {
		t.a.release(t.ctx, t.new)
	}
}

// fail sorts an error: one of the client's goes to the field, others end the write.
func (t *taking) fail(path *field.Path, value any, err error) {
	var refused refusal
	if errors.As(err, &refused) {
		t.errs = append(t.errs, field.Invalid(path, value, err.Error()))
	} else {
		t.err = errors.Join(t.err, err)
	}
}

// refusal is an error that the client can do something about.
type refusal string

func (r refusal) Error() string { return string(r) }

// holding is what a Service has of the ranges.
type holding struct {
	addresses map[netip.Addr]bool
	ports     map[int32]bool
	service   string // "namespace/name"
}

func (h holding) without(other holding) holding {
	left := holding{service: h.service, addresses: map[netip.Addr]bool{}, ports: map[int32]bool{}}
	for address := range h.addresses {
		if !other.addresses[address] {
			left.addresses[address] = true
		}
	}
	for port := range h.ports {
		if !other.ports[port] {
			left.ports[port] = true
		}
	}
	return left
}

func holdings(service *corev1.Service) holding {
	h := holding{service: service.Namespace + "/" + service.Name, addresses: map[netip.Addr]bool{}, ports: map[int32]bool{}}
	for _, ip := range service.Spec.ClusterIPs {
		if address, err := netip.ParseAddr(ip); err == nil {
			h.addresses[address] = true
		}
	}
	for i := range service.Spec.Ports {
		if port := service.Spec.Ports[i].NodePort; port != 0 {
			h.ports[port] = true
		}
	}
	if port := service.Spec.HealthCheckNodePort; port != 0 {
		h.ports[port] = true
	}
	return h
}
