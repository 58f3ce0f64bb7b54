package hpa

import (
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/utils/ptr"
)

// Past is what an autoscaler remembers: what it found and what it did. It is lost with the process, as upstream's is.
type Past struct {
	Recommendations []Moment
	Ups, Downs      []Moment // changes of the size, as positive numbers
}

// Moment is a number at a time.
type Moment struct {
	At time.Time
	N  int32
}

// since returns the moments not older than a time.
func since(all []Moment, oldest time.Time) []Moment {
	var kept []Moment
	for _, m := range all {
		if m.At.After(oldest) {
			kept = append(kept, m)
		}
	}
	return kept
}

// Bounds are what a recommendation must keep to.
type Bounds struct {
	Min, Max int32
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
	// DownscaleStabilization holds where Behavior does not say otherwise.
	DownscaleStabilization time.Duration
}

// Limited is a recommendation after the bounds, and what they did to it.
type Limited struct {
	Replicas int32
	// Stable says that the recommendation was taken as it is rather than an earlier one.
	Stable bool
	// StabilizedUp says that growth was held back; without it and Stable, shrinking was.
	StabilizedUp bool
	// Reason and Message say which bound holds; Within that none does.
	Within          bool
	Reason, Message string
}

// Limit fits a recommendation into the bounds. current is the size now.
func Limit(current, wanted int32, past *Past, b Bounds, now time.Time) Limited {
	stable, result := b.stabilize(current, wanted, past, now)
	limit := b.legacy
	if b.Behavior != nil {
		limit = b.byRules
	}
	result.Replicas, result.Reason, result.Message = limit(current, stable, past, now)
	result.Within = result.Reason == "DesiredWithinRange"
	return result
}

// stabilize holds a change back while recommendations of the recent past speak against it.
func (b Bounds) stabilize(current, wanted int32, past *Past, now time.Time) (int32, Limited) {
	up, down := time.Duration(0), b.DownscaleStabilization
	if b.Behavior != nil {
		up, down = window(b.Behavior.ScaleUp, up), window(b.Behavior.ScaleDown, down)
	}
	lowest, highest := wanted, wanted
	for _, m := range since(past.Recommendations, now.Add(-up)) {
		lowest = min(lowest, m.N)
	}
	for _, m := range since(past.Recommendations, now.Add(-down)) {
		highest = max(highest, m.N)
	}
	past.Recommendations = append(since(past.Recommendations, now.Add(-max(up, down))), Moment{now, wanted})
	if b.Behavior == nil {
		return highest, Limited{Stable: highest == wanted}
	}
	stable := current
	if stable < lowest {
		stable = lowest
	}
	if stable > highest {
		stable = highest
	}
	return stable, Limited{Stable: stable == wanted, StabilizedUp: stable < wanted}
}

func window(rules *autoscalingv2.HPAScalingRules, fallback time.Duration) time.Duration {
	if rules == nil || rules.StabilizationWindowSeconds == nil {
		return fallback
	}
	return time.Duration(*rules.StabilizationWindowSeconds) * time.Second
}

const within, withinMessage = "DesiredWithinRange", "the desired count is within the acceptable range"

// legacy bounds an autoscaler without behavior: it may double at once, or grow to 4.
func (b Bounds) legacy(current, wanted int32, _ *Past, _ time.Time) (int32, string, string) {
	fastest := max(2*current, 4)
	switch most := min(b.Max, fastest); {
	case wanted < b.Min:
		return b.Min, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
	case wanted > most && b.Max > fastest:
		return most, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"
	case wanted > most:
		return most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
	}
	return wanted, within, withinMessage
}

// byRules bounds an autoscaler by the rate that its behavior allows.
func (b Bounds) byRules(current, wanted int32, past *Past, now time.Time) (int32, string, string) {
	switch {
	case wanted > current:
		fastest := max(current, b.up(current, past, now))
		if most := min(b.Max, fastest); wanted > most {
			if b.Max > fastest {
				return most, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"
			}
			return most, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
		}
	case wanted < current:
		fastest := min(current, b.down(current, past, now))
		if least := max(b.Min, fastest); wanted < least {
			if b.Min < fastest {
				return least, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"
			}
			return least, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
		}
	}
	return wanted, within, withinMessage
}

// up is the largest size that the rules allow now.
func (b Bounds) up(current int32, past *Past, now time.Time) int32 {
	return b.rate(current, b.Behavior.ScaleUp, past, now, func(base int32, p autoscalingv2.HPAScalingPolicy) int32 {
		if p.Type == autoscalingv2.PodsScalingPolicy {
			return base + p.Value
		}
		return int32(math.Ceil(float64(base) * (1 + float64(p.Value)/100)))
	}, func(a, b int32) bool { return a > b })
}

// down is the smallest size that the rules allow now.
func (b Bounds) down(current int32, past *Past, now time.Time) int32 {
	return b.rate(current, b.Behavior.ScaleDown, past, now, func(base int32, p autoscalingv2.HPAScalingPolicy) int32 {
		if p.Type == autoscalingv2.PodsScalingPolicy {
			return base - p.Value
		}
		return int32(float64(base) * (1 - float64(p.Value)/100))
	}, func(a, b int32) bool { return a < b })
}

// rate applies each policy to the size at the start of its period, and picks the one that selectPolicy names; further says
// which of two sizes is the larger change.
func (b Bounds) rate(current int32, rules *autoscalingv2.HPAScalingRules, past *Past, now time.Time,
	apply func(int32, autoscalingv2.HPAScalingPolicy) int32, further func(a, b int32) bool) int32 {
	if rules == nil {
		return current
	}
	selected := ptr.Deref(rules.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if selected == autoscalingv2.DisabledPolicySelect {
		return current
	}
	limit, any := current, false
	for _, policy := range rules.Policies {
		start := now.Add(-time.Duration(policy.PeriodSeconds) * time.Second)
		base := current
		for _, m := range since(past.Ups, start) {
			base -= m.N
		}
		for _, m := range since(past.Downs, start) {
			base += m.N
		}
		proposed := apply(base, policy)
		if !any || further(proposed, limit) == (selected == autoscalingv2.MaxChangePolicySelect) {
			limit, any = proposed, true
		}
	}
	return limit
}
