package services

import (
	"context"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// ports repairs the range of node ports once: a server that crashed has left its traces by the time it starts again.
func (r *Repair) ports(ctx context.Context) {
	logger := klog.FromContext(ctx)
	before, _, err := r.a.ports.read(ctx)
	if err != nil {
		logger.Error(err, "Node ports are not repaired")
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(settling): // what was taken for a request that is still on its way has its Service by then
	}
	var services []*corev1.Service
	for _, obj := range r.services.GetIndexer().List() {
		services = append(services, obj.(*corev1.Service))
	}
	if err := r.a.ports.repair(ctx, new(big.Int).SetBytes(before.Data), services); err != nil && ctx.Err() == nil {
		logger.Error(err, "Node ports are not repaired")
	}
}

// repair takes the ports that Services have, and frees those that none has now and that were taken before.
func (p *ports) repair(ctx context.Context, before *big.Int, services []*corev1.Service) error {
	return p.change(ctx, func(bits *big.Int) error {
		leaked := new(big.Int).Set(before)
		for _, service := range services {
			for port := range holdings(service).ports {
				if port >= p.first && port <= p.last {
					leaked.SetBit(leaked, int(port-p.first), 0)
					bits.SetBit(bits, int(port-p.first), 1)
				}
			}
		}
		bits.AndNot(bits, leaked)
		return nil
	})
}
