// Command bench measures what people feel of a cluster, on this machine, with bin/septet and real containers: how long until
// it serves, until a Pod runs, until an application answers; what it costs when idle; how fast Pods start, many at once,
// and come back. It needs root. Figures are medians; the machine is noisy, so compare runs, not digits.
//
//	go run ./bench [-runs 5]
package main

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"time"
)

// measurement is a line of the report.
type measurement struct {
	what string
	// aim is what the project holds itself to; zero: none.
	aim  float64
	unit string
	got  []float64
}

func (m *measurement) median() float64 {
	if len(m.got) == 0 {
		return 0
	}
	sorted := append([]float64(nil), m.got...)
	sort.Float64s(sorted)
	return sorted[len(sorted)/2]
}

func main() {
	runs := flag.Int("runs", 3, "how often each start is measured")
	flag.Parse()
	if err := report(*runs); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func report(runs int) error {
	b, err := newBench()
	if err != nil {
		return err
	}
	defer b.clean()
	if err := b.binarySize(); err != nil {
		return err
	}
	for i := range runs {
		fmt.Fprintf(os.Stderr, "start %d of %d\n", i+1, runs)
		if err := b.start(i == runs-1); err != nil {
			return err
		}
	}
	fmt.Printf("%-62s %10s %10s\n", "", "measured", "aim")
	for _, m := range b.order {
		aim := "-"
		if m.aim > 0 {
			aim = fmt.Sprintf("%.4g %s", m.aim, m.unit)
		}
		fmt.Printf("%-62s %7.4g %-3s %9s\n", m.what, m.median(), m.unit, aim)
	}
	return nil
}

// note adds a figure.
func (b *bench) note(what string, value, aim float64, unit string) {
	m := b.byName[what]
	if m == nil {
		m = &measurement{what: what, aim: aim, unit: unit}
		b.byName[what] = m
		b.order = append(b.order, m)
	}
	m.got = append(m.got, value)
}

func seconds(since time.Time) float64 { return time.Since(since).Seconds() }
