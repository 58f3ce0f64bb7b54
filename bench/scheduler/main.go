// Command scheduler measures the scheduler against the real API server on a real etcd, all in this process, with the workloads that
// upstream's scheduler_perf uses. One line a workload: throughput (average and per-second percentiles), latency from creation to binding,
// CPU time and memory.
//
//	go run ./bench/scheduler                       all workloads at 5,000 nodes and 10,000 pods
//	go run ./bench/scheduler -workload basic -nodes 1000 -pods 2000
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	var o options
	only := flag.String("workload", "", "comma-separated names of workloads; all if empty")
	flag.IntVar(&o.nodes, "nodes", 5000, "number of nodes")
	flag.IntVar(&o.pods, "pods", 10000, "number of measured pods")
	flag.IntVar(&o.creators, "creators", 256, "how many clients create pods at the same time")
	flag.DurationVar(&o.patience, "patience", 3*time.Minute, "how long a workload may take")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the measured parts to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, o, *only, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench/scheduler:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o options, only, profile string) error {
	wanted := map[string]bool{}
	for _, name := range strings.Split(only, ",") {
		wanted[name] = name != ""
	}
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "workload\tnodes\tpods\tpods/s\tp50\tp90\tp99\tlatency p50\tp99\tCPU\tmemory\t")
	for _, w := range workloads {
		if only != "" && !wanted[w.name] {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s...\n", w.name)
		r, err := run(ctx, w, o)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%v\t%v\t%v\t%d MB\t\n", w.name, r.nodes, r.pods, r.average, r.p50, r.p90, r.p99,
			r.latency50, r.latency99, r.cpu, r.memory>>20)
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}
