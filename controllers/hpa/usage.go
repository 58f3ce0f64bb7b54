package hpa

import (
	"fmt"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/septet-io/septet/controllers/pods"
)

// Sample is a metric of one Pod: the value in thousandths, when it was taken and over which time.
type Sample struct {
	Milli  int64
	Time   time.Time
	Window time.Duration
}

// Load is what the number of replicas is computed from: the Pods, a metric of each, and what each should have.
type Load struct {
	Pods    []*corev1.Pod
	Samples map[string]Sample // by Pod name
	// Current is the number of replicas that the target has now.
	Current int32
	// Target is the wanted value per Pod in thousandths; with Requests, the wanted percentage of the request.
	Target int64
	// Requests are the Pods' requests in thousandths, by name; nil for metrics that are no part of one.
	Requests map[string]int64
	// CPU says that the metric is CPU, which is not to be trusted while a Pod starts.
	CPU                            bool
	Up, Down                       float64 // tolerated deviation of the ratio from 1
	Initialization, ReadinessDelay time.Duration
	Now                            time.Time
}

// Proposal is a number of replicas and the usage that it comes from.
type Proposal struct {
	Replicas int32
	// Utilization is the percentage of the requests, Average the value per Pod in thousandths.
	Utilization int32
	Average     int64
}

// groups sorts a Load's Pods by how far their samples can be trusted.
type groups struct {
	ready                     int
	unready, missing, ignored map[string]bool
}

func (l *Load) group() groups {
	g := groups{unready: map[string]bool{}, missing: map[string]bool{}, ignored: map[string]bool{}}
	for _, pod := range l.Pods {
		sample, found := l.Samples[pod.Name]
		switch {
		case pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed:
			g.ignored[pod.Name] = true
		case pod.Status.Phase == corev1.PodPending:
			g.unready[pod.Name] = true
		case !found:
			g.missing[pod.Name] = true
		case l.CPU && l.starting(pod, sample):
			g.unready[pod.Name] = true
		default:
			g.ready++
		}
	}
	return g
}

// starting reports whether a Pod's CPU may still be that of its start.
func (l *Load) starting(pod *corev1.Pod, sample Sample) bool {
	condition := pods.Condition(pod, corev1.PodReady)
	if condition == nil || pod.Status.StartTime == nil {
		return true
	}
	if pod.Status.StartTime.Add(l.Initialization).After(l.Now) {
		return condition.Status == corev1.ConditionFalse || sample.Time.Before(condition.LastTransitionTime.Add(sample.Window))
	}
	return condition.Status == corev1.ConditionFalse && pod.Status.StartTime.Add(l.ReadinessDelay).After(condition.LastTransitionTime.Time)
}

// Propose computes how many replicas would bring the usage to the target. Pods that nothing is known of are taken to be idle
// when more are needed, and to be at the target when fewer are: uncertainty makes neither change larger.
func (l *Load) Propose() (Proposal, error) {
	if len(l.Pods) == 0 {
		return Proposal{}, fmt.Errorf("no pods returned by selector while calculating replica count")
	}
	g := l.group()
	values := map[string]int64{}
	for name, sample := range l.Samples {
		if !g.ignored[name] && !g.unready[name] {
			values[name] = sample.Milli
		}
	}
	if len(values) == 0 {
		return Proposal{}, fmt.Errorf("did not receive metrics for targeted pods (pods might be unready)")
	}
	ratio, proposal, err := l.ratio(values)
	if err != nil {
		return Proposal{}, err
	}
	rebalance := len(g.unready) > 0 && ratio > 1
	if !rebalance && len(g.missing) == 0 {
		proposal.Replicas = l.Current
		if !l.tolerates(ratio) {
			proposal.Replicas = int32(math.Ceil(ratio * float64(g.ready)))
		}
		return proposal, nil
	}
	proposal.Replicas = l.proposeGuarded(ratio, values, g, rebalance)
	return proposal, nil
}

// proposeGuarded computes the ratio again with assumptions in place of what is not known, and changes nothing where
// they turn its direction.
func (l *Load) proposeGuarded(ratio float64, values map[string]int64, g groups, rebalance bool) int32 {
	for name := range g.missing {
		switch {
		case ratio < 1:
			values[name] = l.full(name)
		case ratio > 1:
			values[name] = 0
		}
	}
	if rebalance {
		for name := range g.unready {
			values[name] = 0
		}
	}
	again, _, err := l.ratio(values)
	if err != nil || l.tolerates(again) || (ratio < 1) != (again < 1) {
		return l.Current
	}
	replicas := int32(math.Ceil(again * float64(len(values))))
	if (again < 1 && replicas > l.Current) || (again > 1 && replicas < l.Current) {
		return l.Current
	}
	return replicas
}

// full is what a Pod without a sample is taken to use when fewer replicas seem enough.
func (l *Load) full(pod string) int64 {
	if l.Requests == nil {
		return l.Target
	}
	return l.Requests[pod] * max(100, l.Target) / 100
}

// ratio returns usage over target.
func (l *Load) ratio(values map[string]int64) (float64, Proposal, error) {
	var used, requested int64
	for name, value := range values {
		used += value
		if l.Requests != nil {
			requested += l.Requests[name]
		}
	}
	average := used / int64(len(values))
	if l.Requests == nil {
		return float64(average) / float64(l.Target), Proposal{Average: average}, nil
	}
	if requested == 0 {
		return 0, Proposal{}, fmt.Errorf("no metrics returned matched known pods")
	}
	utilization := used * 100 / requested
	return float64(utilization) / float64(l.Target), Proposal{Average: average, Utilization: int32(utilization)}, nil
}

// tolerates reports whether a ratio is near enough to 1 to be left alone.
func (l *Load) tolerates(ratio float64) bool { return 1-l.Down <= ratio && ratio <= 1+l.Up }

// requests returns what Pods (or one container of each) request of a resource, in thousandths.
func requests(all []*corev1.Pod, container string, of corev1.ResourceName) (map[string]int64, error) {
	sums := map[string]int64{}
	for _, pod := range all {
		var sum int64
		containers := pod.Spec.Containers
		for _, c := range pod.Spec.InitContainers {
			if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
				containers = append(containers[:len(containers):len(containers)], c)
			}
		}
		found := false
		for _, c := range containers {
			if container != "" && container != c.Name {
				continue
			}
			found = true
			request, ok := c.Resources.Requests[of]
			if !ok {
				return nil, fmt.Errorf("missing request for %s in container %s of Pod %s", of, c.Name, pod.Name)
			}
			sum += request.MilliValue()
		}
		if !found && container != "" {
			return nil, fmt.Errorf("container %s not found in Pod %s", container, pod.Name)
		}
		sums[pod.Name] = sum
	}
	return sums, nil
}

// milli returns a quantity of thousandths.
func milli(n int64) *resource.Quantity { return resource.NewMilliQuantity(n, resource.DecimalSI) }
