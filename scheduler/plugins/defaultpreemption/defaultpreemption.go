// Package defaultpreemption makes room for a pod that fits nowhere by evicting pods of lower priority: as few, as unimportant and as much
// within their disruption budgets as it can find.
package defaultpreemption

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Name of the plugin.
const Name = "DefaultPreemption"

const (
	reasonNoVictims  = "No preemption victims found for incoming pod"
	reasonNotHelpful = "Preemption is not helpful for scheduling"
	notYet           = "not eligible due to terminating pod on the nominated node."
)

// Plugin is DefaultPreemption.
type Plugin struct {
	args   *schedulerv1.DefaultPreemptionArgs
	env    *plugin.Env
	random func(n int) int
	cache  cache
	// evicting are the preemptors whose victims are being told to leave; until all are, the preemptor need not be tried again.
	evicting map[types.UID]bool
	// told are the victims that were told to leave, by preemptor: while one is still there, more evictions are not what is missing.
	told map[types.UID][]*snapshot.Pod
	// many is how many there may be before those that have left are forgotten.
	many int
	// considered, when set, is told of each preemption; for explanations.
	considered Considered
}

// New returns the plugin. args are defaulted and valid.
func New(args *schedulerv1.DefaultPreemptionArgs, env *plugin.Env) *Plugin {
	return &Plugin{args: args, env: env, random: rand.IntN, evicting: map[types.UID]bool{}, told: map[types.UID][]*snapshot.Pod{}}
}

// Considered is told of the candidates of a preemption, of the one taken, and by which rule. It must not keep the candidates.
type Considered func(candidates []Candidate, chosen int, why string)

// Explain sets who is told of each preemption.
func (p *Plugin) Explain(f Considered) { p.considered = f }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// PreEnqueue implements plugin.PreEnqueue.
func (p *Plugin) PreEnqueue(pod *corev1.Pod) *plugin.Status {
	if p.evicting[pod.UID] {
		return plugin.Reject(plugin.Unresolvable, "waiting for the preemption for this pod to be finished")
	}
	return nil
}

// Candidate is a row on which the pod would fit without the victims.
type Candidate struct {
	Row int32
	plugin.Victims
	costs costs
}

// PostFilter implements plugin.PostFilter.
func (p *Plugin) PostFilter(ctx context.Context, c *plugin.Cycle, f *plugin.Failure) (int32, *plugin.Status) {
	if why, ok := p.eligible(c); !ok {
		return -1, plugin.Reject(plugin.Unresolvable, "preemption: "+why)
	}
	candidates, reasons := p.candidates(c, f)
	if f.Extenders != nil && len(candidates) > 0 {
		var err error
		if candidates, err = narrow(ctx, candidates, f); err != nil {
			return -1, plugin.Failed(err)
		}
	}
	if len(candidates) == 0 {
		return -1, plugin.Reject(plugin.Unschedulable, message(f.Nodes, reasons))
	}
	for i := range candidates {
		candidates[i].weigh()
	}
	chosen, why := choose(candidates)
	if p.considered != nil {
		p.considered(candidates, chosen, why)
	}
	victim := candidates[chosen]
	if p.env.Evict != nil {
		uid := c.Pod.Object.UID
		p.evicting[uid] = true
		p.forgetGone(c.Snapshot)
		p.told[uid] = victim.Pods
		p.env.Evict(c.Pod.Object, c.Snapshot.NameOf(victim.Row), c.Profile, victim.Victims, func(failed bool) {
			delete(p.evicting, uid)
			if failed {
				delete(p.told, uid)
			}
		})
	}
	return victim.Row, nil
}

func message(nodes int, reasons map[string]int) string {
	list := make([]string, 0, len(reasons))
	for reason, n := range reasons {
		list = append(list, fmt.Sprintf("%d %s", n, reason))
	}
	sort.Strings(list)
	return fmt.Sprintf("preemption: 0/%d nodes are available: %s.", nodes, strings.Join(list, ", "))
}

// eligible says whether the pod may preempt: not if it forbids that itself, nor while pods that it preempted are still leaving.
func (p *Plugin) eligible(c *plugin.Cycle) (why string, ok bool) {
	pod := c.Pod.Object
	if pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy == corev1.PreemptNever {
		return "not eligible due to preemptionPolicy=Never.", false
	}
	row, promised := c.Pod.NominatedRow()
	if !promised {
		delete(p.told, pod.UID)
		return "", true
	}
	for _, victim := range p.told[pod.UID] {
		if placed, ok := c.Snapshot.Lookup(victim.Object); ok && placed.Row == row {
			return notYet, false
		}
	}
	delete(p.told, pod.UID)
	for _, o := range c.Snapshot.Pods[row] {
		if o.Object.DeletionTimestamp != nil && o.Shape.Priority < c.Pod.Shape.Priority && preempted(o.Object) {
			return notYet, false
		}
	}
	return "", true
}

// minTold is how many preemptors' victims are remembered at least before any are forgotten.
const minTold = 1024

// forgetGone drops, once there are twice as many as after the last time, the preemptors whose victims have all left.
func (p *Plugin) forgetGone(s *snapshot.Snapshot) {
	if len(p.told) < max(p.many, minTold) {
		return
	}
	for uid, victims := range p.told {
		if !slices.ContainsFunc(victims, func(v *snapshot.Pod) bool { _, there := s.Lookup(v.Object); return there }) {
			delete(p.told, uid)
		}
	}
	p.many = 2 * len(p.told)
}

func preempted(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.DisruptionTarget {
			return c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonPreemptionByScheduler
		}
	}
	return false
}

// candidates tries rows, from a random one on, until there are enough; reasons counts why others are none.
func (p *Plugin) candidates(c *plugin.Cycle, f *plugin.Failure) (list []Candidate, reasons map[string]int) {
	reasons = map[string]int{}
	rows := p.cache.rows[:0]
	list = p.cache.list[:0]
	defer func() { p.cache.list = list }()
	for row := range int32(c.Snapshot.Rows()) {
		if f.Helpful(row) {
			rows = append(rows, row)
		}
	}
	p.cache.rows = rows
	if other := f.Nodes - len(rows); other > 0 {
		reasons[reasonNotHelpful] = other
	}
	if len(rows) == 0 {
		return nil, reasons
	}
	enough := min(max(len(rows)*int(*p.args.MinCandidateNodesPercentage)/100, int(*p.args.MinCandidateNodesAbsolute)), len(rows))
	var known *tried
	if p.env.Budgets == nil || len(p.env.Budgets(corev1.NamespaceAll)) == 0 { // budgets change without any row changing
		known = p.cache.of(c, f)
	}
	start := p.random(len(rows))
	gentle := false // found one that violates no budget
	for i := range rows {
		row := rows[(start+i)%len(rows)]
		memory := known
		if own, ok := c.Pod.NominatedRow(); ok && own == row {
			memory = nil // for others, this pod's own promise is in the way
		}
		found, why := memory.try(row, func() (Candidate, []string) { return p.try(c, f, row) })
		if len(found.Pods) == 0 {
			for _, reason := range why {
				reasons[reason]++
			}
			continue
		}
		list = append(list, found)
		if gentle = gentle || found.Violations == 0; gentle && len(list) >= enough {
			break
		}
	}
	return list, reasons
}

// try finds the victims on one row: take all pods of lower priority away, then give back one by one, the important first,
// what the pod does not need away. A candidate without victims is none, for the reasons returned.
func (p *Plugin) try(c *plugin.Cycle, f *plugin.Failure, row int32) (found Candidate, reasons []string) {
	found.Row = row
	var lower []*snapshot.Pod
	for _, o := range c.Snapshot.Pods[row] {
		if o.Shape.Priority < c.Pod.Shape.Priority {
			lower = append(lower, o)
		}
	}
	if len(lower) == 0 {
		return found, []string{reasonNoVictims}
	}
	sort.SliceStable(lower, func(i, j int) bool { return moreImportant(lower[i], lower[j]) })
	violating, fine := p.byBudget(lower)
	s := c.Snapshot
	s.Trial(func() {
		for _, o := range lower {
			s.Displace(o)
		}
		var ok bool
		if reasons, ok = f.Fits(row); ok {
			reasons = nil
			reprieve := func(o *snapshot.Pod) bool {
				s.PlaceOn(o, row)
				if _, ok := f.Fits(row); ok {
					return true
				}
				s.Displace(o)
				found.Pods = append(found.Pods, o)
				return false
			}
			for _, o := range violating {
				if !reprieve(o) {
					found.Violations++
				}
			}
			for _, o := range fine {
				reprieve(o)
			}
		}
		for _, o := range lower {
			if o.Row < 0 {
				s.PlaceOn(o, row)
			}
		}
	})
	f.Restore(row)
	sort.SliceStable(found.Pods, func(i, j int) bool { return moreImportant(found.Pods[i], found.Pods[j]) })
	return found, reasons
}

// byBudget splits pods, in order, into those whose eviction would break a disruption budget and the rest.
func (p *Plugin) byBudget(pods []*snapshot.Pod) (violating, fine []*snapshot.Pod) {
	if p.env.Budgets == nil {
		return nil, pods
	}
	left := map[string]int32{} // disruptions that each budget still allows
	for _, o := range pods {
		pod := o.Object
		violates := false
		for _, budget := range p.env.Budgets(pod.Namespace) {
			if !plugin.Selects(budget, pod.Labels) {
				continue
			}
			if _, ok := budget.Status.DisruptedPods[pod.Name]; ok {
				continue // it is on its way out already
			}
			key := budget.Namespace + "/" + budget.Name
			if _, ok := left[key]; !ok {
				left[key] = budget.Status.DisruptionsAllowed
			}
			if left[key]--; left[key] < 0 {
				violates = true
			}
		}
		if violates {
			violating = append(violating, o)
		} else {
			fine = append(fine, o)
		}
	}
	return violating, fine
}

// narrow lets extenders drop candidates and victims.
func narrow(ctx context.Context, list []Candidate, f *plugin.Failure) ([]Candidate, error) {
	victims := map[int32]plugin.Victims{}
	for _, c := range list {
		victims[c.Row] = c.Victims
	}
	kept, err := f.Extenders(ctx, victims)
	if err != nil {
		return nil, err
	}
	var out []Candidate
	for _, c := range list {
		if v, ok := kept[c.Row]; ok {
			out = append(out, Candidate{Row: c.Row, Victims: v})
		}
	}
	return out, nil
}

// Events implements plugin.Events: none. A pod whose victims are being told to leave is woken when all have been told, and one that waits for
// them to be gone is woken for the filters' sake.
func (*Plugin) Events() []plugin.EventHint { return []plugin.EventHint{} }
