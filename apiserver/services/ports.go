package services

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"
)

// ports is the range of node ports: a map of bits in etcd, in upstream's form (a RangeAllocation).
type ports struct {
	etcd        *clientv3.Client
	key         string
	first, last int32
}

const defaultRange = "30000-32767"

// parseRange reads "30000-32767" or "30000+2767".
func parseRange(text string) (first, last int32, err error) {
	if text == "" {
		text = defaultRange
	}
	bad := fmt.Errorf("--service-node-port-range: %q is not a range of ports like %s", text, defaultRange)
	low, high, dash := strings.Cut(text, "-")
	if !dash {
		var plus bool
		if low, high, plus = strings.Cut(text, "+"); !plus {
			return 0, 0, bad
		}
	}
	a, errA := strconv.ParseUint(low, 10, 16)
	b, errB := strconv.ParseUint(high, 10, 16)
	if !dash {
		b += a
	}
	if errA != nil || errB != nil || a == 0 || b < a || b > 65535 {
		return 0, 0, bad
	}
	return int32(a), int32(b), nil
}

// takePorts gives the Service the node ports that it needs, and takes those that it names.
func (t *taking) takePorts() {
	if t.new.ports == nil {
		t.new.service, t.new.ports = holdings(t.service).service, map[int32]bool{}
	}
	if t.service.Spec.Type != corev1.ServiceTypeNodePort && t.service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	wanted := &request{named: map[int32]*field.Path{}}
	shared := map[int32]int32{} // a port with two protocols has one node port
	list := field.NewPath("spec", "ports")
	for i := range t.service.Spec.Ports {
		port := &t.service.Spec.Ports[i]
		switch {
		case port.NodePort != 0:
			shared[port.Port] = port.NodePort
			if !t.had.ports[port.NodePort] {
				wanted.named[port.NodePort] = list.Index(i).Child("nodePort")
			}
		case hasNodePorts(t.service):
			wanted.open = append(wanted.open, func(n int32) { port.NodePort = n })
		}
	}
	if needsHealthPort(t.service) {
		if port := t.service.Spec.HealthCheckNodePort; port == 0 {
			wanted.open = append(wanted.open, func(n int32) { t.service.Spec.HealthCheckNodePort = n })
		} else if !t.had.ports[port] {
			wanted.named[port] = field.NewPath("spec", "healthCheckNodePort")
		}
	}
	t.sharePorts(wanted, shared)
	if len(wanted.named)+len(wanted.open) > 0 && len(t.errs) == 0 {
		t.a.ports.take(t, wanted)
	}
}

// sharePorts lets a port of another protocol have the node port of its number.
func (t *taking) sharePorts(wanted *request, shared map[int32]int32) {
	if !hasNodePorts(t.service) {
		return
	}
	wanted.open = nil
	first := map[int32][]*corev1.ServicePort{}
	var order []int32
	for i := range t.service.Spec.Ports {
		port := &t.service.Spec.Ports[i]
		if port.NodePort != 0 {
			continue
		}
		if same := shared[port.Port]; same != 0 && !usedBy(t.service, same, port.Protocol) {
			port.NodePort = same
			continue
		}
		if first[port.Port] == nil {
			order = append(order, port.Port)
		}
		first[port.Port] = append(first[port.Port], port)
	}
	for _, number := range order {
		all := first[number]
		wanted.open = append(wanted.open, func(n int32) {
			for _, port := range all {
				port.NodePort = n
			}
		})
	}
	if needsHealthPort(t.service) && t.service.Spec.HealthCheckNodePort == 0 {
		wanted.open = append(wanted.open, func(n int32) { t.service.Spec.HealthCheckNodePort = n })
	}
}

func usedBy(service *corev1.Service, nodePort int32, protocol corev1.Protocol) bool {
	return slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.NodePort == nodePort && p.Protocol == protocol })
}

// request is what one Service wants of the range.
type request struct {
	named map[int32]*field.Path
	open  []func(port int32)
}

// take sets all bits in one transaction, so that a Service has all its ports or none.
func (p *ports) take(t *taking, wanted *request) {
	change := p.change
	if t.dry {
		change = p.try
	}
	err := change(t.ctx, func(bits *big.Int) error {
		t.new.ports = map[int32]bool{}
		for port, path := range wanted.named {
			switch {
			case port < p.first || port > p.last:
				return fieldError{field.Invalid(path, port, fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %d-%d", p.first, p.last))}
			case bits.Bit(int(port-p.first)) == 1:
				return fieldError{field.Invalid(path, port, "provided port is already allocated")}
			}
			bits.SetBit(bits, int(port-p.first), 1)
			t.new.ports[port] = true
		}
		for _, set := range wanted.open {
			port, ok := p.free(bits)
			if !ok {
				return fieldError{field.InternalError(field.NewPath("spec", "ports"), errors.New("range is full"))}
			}
			bits.SetBit(bits, int(port-p.first), 1)
			t.new.ports[port] = true
			set(port)
		}
		return nil
	})
	var refused fieldError
	switch {
	case errors.As(err, &refused):
		t.new.ports = nil
		t.errs = append(t.errs, refused.cause)
	case err != nil:
		t.new.ports = nil
		t.err = errors.Join(t.err, err)
	}
}

// fieldError carries a field's error out of a transaction.
type fieldError struct{ cause *field.Error }

func (f fieldError) Error() string { return f.cause.Error() }

// free finds a port: a random one, else the next after it.
func (p *ports) free(bits *big.Int) (int32, bool) {
	size := p.last - p.first + 1
	start := rand.Int32N(size)
	for i := range size {
		if at := (start + i) % size; bits.Bit(int(at)) == 0 {
			return p.first + at, true
		}
	}
	return 0, false
}

// give clears bits.
func (p *ports) give(ctx context.Context, given map[int32]bool) error {
	if len(given) == 0 {
		return nil
	}
	return p.change(ctx, func(bits *big.Int) error {
		for port := range given {
			if port >= p.first && port <= p.last {
				bits.SetBit(bits, int(port-p.first), 0)
			}
		}
		return nil
	})
}

// try is change without the write.
func (p *ports) try(ctx context.Context, edit func(*big.Int) error) error {
	allocation, _, err := p.read(ctx)
	if err != nil {
		return err
	}
	return edit(new(big.Int).SetBytes(allocation.Data))
}

// read returns the range and the revision of its key, 0 if there is none yet.
func (p *ports) read(ctx context.Context) (*corev1.RangeAllocation, int64, error) {
	allocation := &corev1.RangeAllocation{}
	found, err := p.etcd.Get(ctx, p.key)
	if err == nil && len(found.Kvs) == 0 {
		return allocation, 0, nil
	}
	if err == nil {
		err = decodeRange(found.Kvs[0].Value, allocation)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("range of node ports: %w", err)
	}
	return allocation, found.Kvs[0].ModRevision, nil
}

// change reads, changes and writes the range, again when somebody else was faster.
func (p *ports) change(ctx context.Context, edit func(*big.Int) error) error {
	for {
		allocation, revision, err := p.read(ctx)
		if err != nil {
			return err
		}
		bits := new(big.Int).SetBytes(allocation.Data)
		if err := edit(bits); err != nil {
			return err
		}
		if slices.Equal(bits.Bytes(), allocation.Data) && revision > 0 {
			return nil
		}
		allocation.Range = fmt.Sprintf("%d-%d", p.first, p.last)
		allocation.Data = bits.Bytes()
		value, err := encodeRange(allocation)
		if err != nil {
			return fmt.Errorf("range of node ports: %w", err)
		}
		written, err := p.etcd.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(p.key), "=", revision)).Then(clientv3.OpPut(p.key, string(value))).Commit()
		if err != nil {
			return fmt.Errorf("range of node ports: %w", err)
		}
		if written.Succeeded {
			return nil
		}
	}
}

var protobufMagic = []byte("k8s\x00")

func encodeRange(allocation *corev1.RangeAllocation) ([]byte, error) {
	raw, err := allocation.Marshal()
	if err != nil {
		return nil, err
	}
	envelope := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "RangeAllocation"}, Raw: raw}
	body, err := envelope.Marshal()
	return append(slices.Clone(protobufMagic), body...), err
}

func decodeRange(value []byte, into *corev1.RangeAllocation) error {
	rest, ok := strings.CutPrefix(string(value), string(protobufMagic))
	if !ok {
		return errors.New("it is not in protobuf form")
	}
	var envelope runtime.Unknown
	if err := envelope.Unmarshal([]byte(rest)); err != nil {
		return err
	}
	return into.Unmarshal(envelope.Raw)
}

// release gives back what a Service no longer holds. A failure leaves something taken until the next Repair.
func (a *Allocator) release(ctx context.Context, h holding) {
	ctx = context.WithoutCancel(ctx)
	for address := range h.addresses {
		if err := a.addresses.free(ctx, address, h.service); err != nil {
			klog.FromContext(ctx).Error(err, "Cluster IP not released", "address", address, "service", h.service)
		}
	}
	if err := a.ports.give(ctx, h.ports); err != nil {
		klog.FromContext(ctx).Error(err, "Node ports not released", "service", h.service)
	}
}
