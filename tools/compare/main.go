// Command compare sends the same requests to two API servers and prints where their answers differ: code, reason, message,
// causes, warnings, the resulting object, table columns. It is how the kinds were brought in line with upstream's server.
// The servers need nothing but themselves: no controllers, no nodes. Most requests are dry runs; all that is made is deleted
// again, but for the namespace "compare".
//
//	go run ./tools/compare -ours a.kubeconfig -theirs b.kubeconfig -kinds Pod,Service
//
// The requests are made of the manifests in corpus: each is created, then every field of its schema is left out, emptied, and
// set to values that are wrong in some way, on create, update, status update, patch and apply.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ours := flag.String("ours", "", "kubeconfig of the server to look at")
	theirs := flag.String("theirs", "", "kubeconfig of the server to compare with")
	kinds := flag.String("kinds", "", "kinds to compare, separated by commas; all of the corpus if empty")
	wire := flag.String("wire", "", "folder of further objects as GROUP.VERSION.KIND.json, which are only created")
	detail := flag.Int("detail", 3, "examples to print of each difference")
	every := flag.Int("every", 1, "send each so-manieth mutation only")
	documents := flag.Bool("documents", false, "compare discovery, OpenAPI and version instead of kinds")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, options{*ours, *theirs, *wire, split(*kinds), *detail, max(*every, 1), *documents}); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

type options struct {
	ours, theirs, wire string
	kinds              []string
	detail, every      int
	documents          bool
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func run(ctx context.Context, o options) error {
	pair, err := open(o.ours, o.theirs)
	if err != nil {
		return err
	}
	report := newReport(o.detail)
	defer report.print(os.Stdout)
	if o.documents {
		return documents(ctx, pair, report)
	}
	schemas, err := readSchemas(ctx, pair.theirs)
	if err != nil {
		return err
	}
	manifests, err := corpus(o.kinds)
	if err != nil {
		return err
	}
	c := &comparison{pair: pair, schemas: schemas, report: report, every: o.every}
	if err := c.furnish(ctx); err != nil {
		return err
	}
	for _, m := range manifests {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.manifest(ctx, m); err != nil {
			return fmt.Errorf("%s %s: %w", m.GetKind(), m.GetName(), err)
		}
	}
	if o.wire != "" {
		return c.wire(ctx, o.wire, o.kinds)
	}
	return nil
}
