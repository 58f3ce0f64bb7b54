// Command scheduler measures the scheduler against the real API server on a real etcd, with the workloads that upstream's scheduler_perf
// uses. One line a workload: throughput (average, and percentiles of 100 ms slices), latency from creation to binding, CPU time and memory.
//
//	go run ./bench/scheduler                       all workloads at 5,000 nodes and 10,000 pods, all in one process
//	go run ./bench/scheduler -workload basic -nodes 1000 -pods 2000
//	go run ./bench/scheduler -peer-scheduler FILE  each workload also with our scheduler, then with that program, as a process of its own
//	go run ./bench/scheduler -peer-apiserver FILE  against that API server instead of ours
//
// The machine may be busy with other things: CPU time says what a pod costs, whatever the wall clock says.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/septet-io/septet/scheduler"
)

// apart is the first argument of the process that is our scheduler on its own.
const apart = "kube-scheduler"

func main() {
	if len(os.Args) > 1 && os.Args[1] == apart {
		cmd := scheduler.Command()
		cmd.SetArgs(os.Args[2:])
		if err := cmd.Execute(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var o options
	only := flag.String("workload", "", "comma-separated names of workloads; all if empty")
	flag.IntVar(&o.nodes, "nodes", 5000, "number of nodes")
	flag.IntVar(&o.pods, "pods", 10000, "number of measured pods")
	flag.IntVar(&o.creators, "creators", 256, "how many clients create pods at the same time")
	flag.DurationVar(&o.patience, "patience", 3*time.Minute, "how long a workload may take")
	flag.StringVar(&o.peerScheduler, "peer-scheduler", "", "another kube-scheduler to compare with")
	flag.StringVar(&o.peerServer, "peer-apiserver", "", "another kube-apiserver to measure against")
	flag.StringVar(&o.cpuProfile, "cpuprofile", "", "write a CPU profile of the measured part of the last workload to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, o, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench/scheduler:", err)
		os.Exit(1)
	}
}

// variant is one way to run the scheduler.
type variant struct {
	name string
	// program and arguments of a scheduler that is a process of its own; none: it runs in the server's process.
	program string
	args    []string
}

func (o *options) variants() ([]variant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	alone := variant{"alone", self, []string{apart}}
	switch peer := (variant{"peer", o.peerScheduler, nil}); {
	case o.peerServer != "" && o.peerScheduler != "":
		return []variant{alone, peer}, nil
	case o.peerServer != "":
		return []variant{alone}, nil
	case o.peerScheduler != "":
		return []variant{{name: "inside"}, alone, peer}, nil
	}
	return []variant{{name: "inside"}}, nil
}

func measure(ctx context.Context, o options, only string) error {
	wanted := map[string]bool{}
	for _, name := range strings.Split(only, ",") {
		wanted[name] = name != ""
	}
	variants, err := o.variants()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "workload\tscheduler\tnodes\tpods\tpods/s\tp50\tp90\tp99\tlatency p50\tp99\tCPU/pod\tscheduler's\tevents/pod\tallocated\tmemory\tscheduler's\t")
	for i := range workloads {
		w := &workloads[i]
		if only != "" && !wanted[w.name] {
			continue
		}
		var results []*result
		for _, v := range variants {
			fmt.Fprintf(os.Stderr, "%s, scheduler %s...\n", w.name, v.name)
			r, err := run(ctx, w, v, o)
			if err != nil {
				return fmt.Errorf("%s, scheduler %s: %w", w.name, v.name, err)
			}
			results = append(results, r)
			r.tell(table, w.name, v.name)
		}
		tellRatios(table, w.name, variants, results)
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (r *result) tell(table *tabwriter.Writer, workload, variant string) {
	fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%v\t%v\t%v\t%s\t%.2f\t%d KB\t%d MB\t%s\t\n", workload, variant, r.nodes, r.pods, r.average, r.p50, r.p90, r.p99,
		r.latency50, r.latency99, r.each(r.cpu), known(r.schedulerCPU > 0, r.each(r.schedulerCPU)), float64(r.events)/float64(r.pods), int(r.allocated)/r.pods>>10, r.memory>>20,
		known(r.schedulerMemory > 0, fmt.Sprintf("%d MB", r.schedulerMemory>>20)))
}

func known(is bool, what any) string {
	if !is {
		return "-"
	}
	return fmt.Sprint(what)
}

// tellRatios compares each variant with the peer, which is last.
func tellRatios(table *tabwriter.Writer, workload string, variants []variant, results []*result) {
	last := len(results) - 1
	if variants[last].name != "peer" {
		return
	}
	peer := results[last]
	for i, r := range results[:last] {
		fmt.Fprintf(table, "%s\t%s : peer\t\t\t%.1fx\t\t\t\t%.1fx\t%.1fx\t%.1fx\t%s\t\t\t\t\t\n", workload, variants[i].name, r.average/peer.average,
			ratio(peer.latency50, r.latency50), ratio(peer.latency99, r.latency99), ratio(peer.cpu, r.cpu),
			known(r.schedulerCPU > 0, fmt.Sprintf("%.1fx", ratio(peer.schedulerCPU, r.schedulerCPU))))
	}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }
