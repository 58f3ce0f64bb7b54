// Package dynamicresources gives pods the devices that their ResourceClaims ask for (resource.k8s.io/v1, structured parameters): it finds
// devices on a node in the ResourceSlices that drivers publish, and writes the allocation before the pod is bound.
package dynamicresources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Name of the plugin.
const Name = "DynamicResources"

// maxReserved is how many pods may share a claim.
const maxReserved = 256

type quantity = resource.Quantity

// Plugin is DynamicResources.
type Plugin struct {
	env           *plugin.Env
	filterTimeout time.Duration
	// bindingTimeout is how long devices may take to become ready for their pod.
	bindingTimeout time.Duration
	changes        *plugin.Changes // of claims; nil in dry runs
	expressions    expressions
	inventory      *inventory
}

// New returns the plugin. args are defaulted and valid.
func New(args *schedulerv1.DynamicResourcesArgs, env *plugin.Env) (*Plugin, error) {
	p := &Plugin{env: env, filterTimeout: args.FilterTimeout.Duration, bindingTimeout: args.BindingTimeout.Duration}
	if env.Informers == nil {
		return p, nil
	}
	var err error
	p.changes, err = plugin.NewChanges(env.Informers.Resource().V1().ResourceClaims().Informer(), env)
	return p, err
}

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// plan is what a pod's claims need, and what was found by row.
type plan struct {
	claims   []*resourcev1.ResourceClaim // all, as they were
	open     []*resourcev1.ResourceClaim // those to allocate
	requests []request
	usage    *usage
	found    map[int32]*allocation
	refused  map[int]bool // allocated claims (by place) that kept some node out
	chosen   *reservation
}

// allocation is what a row has for the open claims.
type allocation struct {
	results []*resourcev1.AllocationResult
	rank    int64 // sum over requests with alternatives, higher for more preferred ones
}

// PreFilter implements plugin.PreFilter.
func (p *Plugin) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	pod := c.Pod.Object
	if len(pod.Spec.ResourceClaims) == 0 {
		return nil, plugin.SkipStatus
	}
	devices := &c.Snapshot.Devices
	n := &plan{found: map[int32]*allocation{}, refused: map[int]bool{}}
	for i := range pod.Spec.ResourceClaims {
		claim, status := claimOf(pod, &pod.Spec.ResourceClaims[i], devices)
		if status != nil {
			return nil, status
		}
		if claim == nil {
			continue
		}
		n.claims = append(n.claims, claim)
		if claim.Status.Allocation == nil {
			n.open = append(n.open, claim)
		} else if !reservedFor(claim, pod) && len(claim.Status.ReservedFor) >= maxReserved {
			return nil, plugin.Reject(plugin.Unresolvable, "resourceclaim in use")
		}
	}
	if len(n.claims) == 0 {
		return nil, plugin.SkipStatus
	}
	if len(n.open) > 0 {
		var missing string
		if n.requests, missing = requestsOf(n.open, devices); missing != "" {
			return nil, plugin.Reject(plugin.Unresolvable, missing)
		}
		if p.inventory == nil || p.inventory.version != devices.Version {
			p.inventory = take(devices)
		}
		n.usage = usageOf(devices, p.inventory, nil)
	}
	c.Set(Name, n)
	return nil, nil
}

// claimOf finds the claim that an entry of a pod stands for. nil without a status: the entry needs none.
func claimOf(pod *corev1.Pod, entry *corev1.PodResourceClaim, d *snapshot.Devices) (*resourcev1.ResourceClaim, *plugin.Status) {
	name := ""
	if entry.ResourceClaimName != nil {
		name = *entry.ResourceClaimName
	} else {
		made := false
		for i := range pod.Status.ResourceClaimStatuses {
			if s := &pod.Status.ResourceClaimStatuses[i]; s.Name == entry.Name {
				made = true
				if s.ResourceClaimName == nil {
					return nil, nil
				}
				name = *s.ResourceClaimName
			}
		}
		if !made {
			return nil, plugin.Reject(plugin.Unresolvable, fmt.Sprintf("pod %q: ResourceClaim not created yet", pod.Namespace+"/"+pod.Name))
		}
	}
	claim := d.Claim(pod.Namespace + "/" + name)
	switch {
	case claim == nil:
		return nil, plugin.Reject(plugin.Unresolvable, fmt.Sprintf("could not find v1.ResourceClaim %q", pod.Namespace+"/"+name))
	case claim.DeletionTimestamp != nil:
		return nil, plugin.Reject(plugin.Unresolvable, fmt.Sprintf("resourceclaim %q is being deleted", claim.Name))
	case entry.ResourceClaimName == nil && !metav1.IsControlledBy(claim, pod):
		return nil, plugin.Reject(plugin.Unresolvable, fmt.Sprintf("ResourceClaim %s was not created for pod %s (pod is not owner)", claim.Namespace+"/"+claim.Name, pod.Namespace+"/"+pod.Name))
	}
	return claim, nil
}

func reservedFor(claim *resourcev1.ResourceClaim, pod *corev1.Pod) bool {
	for i := range claim.Status.ReservedFor {
		if claim.Status.ReservedFor[i].UID == pod.UID {
			return true
		}
	}
	return false
}

// Filter implements plugin.Filter.
func (p *Plugin) Filter(c *plugin.Cycle, row int32) *plugin.Status {
	n := c.Get(Name).(*plan)
	node := c.Snapshot.Node[row]
	for i, claim := range n.claims {
		if !p.usable(claim, node) {
			n.refused[i] = true
			return plugin.Reject(plugin.Unschedulable, "resourceclaim not available on the node")
		}
	}
	if len(n.open) == 0 {
		return nil
	}
	ctx := context.Background()
	if p.filterTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.filterTimeout)
		defer cancel()
	}
	s := &search{ctx: ctx, plugin: p, node: node, claims: n.open, requests: n.requests, pools: p.inventory.pools, usage: n.usage}
	ok, err := s.run()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return plugin.Reject(plugin.Unschedulable, fmt.Sprintf("timed out trying to allocate devices within %v", p.filterTimeout))
	case err != nil:
		return plugin.Reject(plugin.Unschedulable, err.Error())
	case !ok:
		return plugin.Reject(plugin.Unschedulable, "cannot allocate all claims")
	}
	a := &allocation{results: s.results(&c.Snapshot.Devices)}
	for i, r := range s.requests {
		if len(r.alternatives) > 1 {
			a.rank += int64(resourcev1.FirstAvailableDeviceRequestMaxSize - s.rank[i])
		}
	}
	for len(s.chosen) > 0 {
		s.takeBack()
	}
	n.found[row] = a
	return nil
}

// Rates implements plugin.Rater: without alternatives all nodes are as good.
func (p *Plugin) Rates(c *plugin.Cycle) bool {
	n, ok := c.Get(Name).(*plan)
	return ok && slices.ContainsFunc(n.requests, func(r request) bool { return len(r.alternatives) > 1 })
}

// usable says whether an allocated claim can be used on the node: not elsewhere than where its devices are, nor when they have failed to
// become ready. One that is not allocated can be.
func (p *Plugin) usable(claim *resourcev1.ResourceClaim, node *snapshot.Node) bool {
	a := claim.Status.Allocation
	if a == nil {
		return true
	}
	if a.NodeSelector != nil && !snapshot.MatchTerms(a.NodeSelector.NodeSelectorTerms, node.Labels, node.Name) {
		return false
	}
	ok, err := ready(claim)
	return err == nil && (ok || !p.overdue(claim))
}

// Score implements plugin.Score: nodes with devices that the claims prefer are better.
func (p *Plugin) Score(c *plugin.Cycle, row int32) (int64, *plugin.Status) {
	if a := c.Get(Name).(*plan).found[row]; a != nil {
		return a.rank, nil
	}
	return 0, nil
}

// Normalize implements plugin.Normalize.
func (p *Plugin) Normalize(_ *plugin.Cycle, _ []int32, scores []int64) *plugin.Status {
	high := int64(0)
	for _, s := range scores {
		high = max(high, s)
	}
	for i := range scores {
		if high > 0 {
			scores[i] = scores[i] * plugin.MaxScore / high
		}
	}
	return nil
}

// PostFilter implements plugin.PostFilter: a claim that is allocated where the pod cannot go, or whose devices have failed, is given back if
// nobody else uses it.
func (p *Plugin) PostFilter(ctx context.Context, c *plugin.Cycle, _ *plugin.Failure) (int32, *plugin.Status) {
	n, ok := c.Get(Name).(*plan)
	if !ok {
		return -1, plugin.Reject(plugin.Unresolvable)
	}
	for i, claim := range n.claims {
		users := len(claim.Status.ReservedFor)
		if users == 1 && reservedFor(claim, c.Pod.Object) {
			users = 0
		}
		if n.refused[i] && claim.Status.Allocation != nil && users == 0 && p.env.Client != nil {
			own := claim.DeepCopy()
			own.Status.Allocation, own.Status.Devices, own.Status.ReservedFor = nil, nil, nil
			go p.giveBack(context.WithoutCancel(ctx), own)
			return -1, plugin.Reject(plugin.Unresolvable, "deallocation of ResourceClaim completed")
		}
	}
	return -1, plugin.Reject(plugin.Unresolvable, "still not schedulable")
}

// Events implements plugin.Events.
func (*Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.ResourceClaim, Action: plugin.Add | plugin.UpdateOther | plugin.Delete},
		{Resource: plugin.ResourceSlice, Action: plugin.Add | plugin.UpdateOther},
		{Resource: plugin.DeviceClass, Action: plugin.Add | plugin.UpdateOther},
		{Resource: plugin.UnscheduledPod, Action: plugin.UpdatePodClaims},
		{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeLabel | plugin.UpdateNodeTaint},
	}
}
