package fair

import (
	"math"
	"time"
)

// Demand is a number over time: its average, deviation and maximum since the last Take.
type Demand struct {
	value, highest float64
	sum, squares   float64 // of value and its square, times seconds
	since, at      time.Duration
}

func (d *Demand) set(value float64, now time.Duration) {
	d.integrate(now)
	d.value = value
	d.highest = max(d.highest, value)
}

func (d *Demand) integrate(now time.Duration) {
	seconds := (now - d.at).Seconds()
	d.sum += d.value * seconds
	d.squares += d.value * d.value * seconds
	d.at = now
}

// Value is the number now.
func (d *Demand) Value() float64 { return d.value }

// Observed is what Demand was over some time.
type Observed struct {
	Average, Deviation, Highest float64
	Over                        time.Duration
}

// Take returns what was since the last Take, and begins anew.
func (d *Demand) Take(now time.Duration) Observed {
	d.integrate(now)
	o := Observed{Highest: d.highest, Over: now - d.since}
	if seconds := o.Over.Seconds(); seconds > 0 {
		o.Average = d.sum / seconds
		o.Deviation = math.Sqrt(max(0, d.squares/seconds-o.Average*o.Average))
	}
	d.sum, d.squares, d.highest, d.since = 0, 0, d.value, now
	return o
}
