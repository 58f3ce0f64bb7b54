package flow

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/flow/fair"
)

// Dumps are what can be asked about the levels, as tables, by path.
func (f *Fairness) Dumps() map[string]http.Handler {
	const path = "/debug/api_priority_and_fairness/"
	return map[string]http.Handler{
		path + "dump_priority_levels": dump(f.dumpLevels), path + "dump_queues": dump(f.dumpQueues), path + "dump_requests": dump(f.dumpRequests),
	}
}

// dump turns a function that writes rows into a handler.
func dump(rows func(w io.Writer, r *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		table := tabwriter.NewWriter(w, 8, 0, 1, ' ', 0)
		rows(table, r)
		_ = table.Flush() // a client that went away needs no answer
	})
}

func row(w io.Writer, columns ...any) {
	texts := make([]string, len(columns))
	for i, column := range columns {
		texts[i] = fmt.Sprint(column)
	}
	_, _ = fmt.Fprintln(w, strings.Join(texts, ",\t")) // into memory
}

// sorted are the levels by name.
func (f *Fairness) sorted() []*level {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]*level, 0, len(f.levels))
	for _, l := range f.levels {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *level) int { return strings.Compare(a.name, b.name) })
	return all
}

// each calls do with every level, locked.
func (f *Fairness) each(do func(l *level)) {
	for _, l := range f.sorted() {
		l.mu.Lock()
		do(l)
		l.mu.Unlock()
	}
}

func (f *Fairness) dumpLevels(w io.Writer, _ *http.Request) {
	row(w, "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests", "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests")
	f.each(func(l *level) {
		active := 0
		for _, q := range l.set.Queues() {
			if q.Waiting > 0 {
				active++
			}
		}
		waiting, running, _, _ := l.set.Counts()
		row(w, l.name, active, l.set.Idle(), l.quiescing, waiting, running, l.set.Dispatched, l.set.Rejected, l.set.TimedOut, l.set.Cancelled)
	})
}

func (f *Fairness) dumpQueues(w io.Writer, _ *http.Request) {
	row(w, "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR", "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum")
	f.each(func(l *level) {
		for i, q := range l.set.Queues() {
			row(w, l.name, i, q.Waiting, q.Running, q.Seats, seatSeconds(q.Next), q.WaitInitial, q.WaitSeats, seatSeconds(q.WaitWork))
		}
	})
}

func seatSeconds(f float64) string { return strconv.FormatFloat(f, 'f', 8, 64) + "ss" }

func (f *Fairness) dumpRequests(w io.Writer, r *http.Request) {
	header := []any{"PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime", "InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime"}
	details := r.URL.Query().Get("includeRequestDetails") != ""
	if details {
		header = append(header, "UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource")
	}
	row(w, header...)
	f.each(func(l *level) {
		for _, q := range l.set.Queues() {
			for i, waits := range q.Requests {
				dumpRequest(w, l, waits, i, details)
			}
		}
		for t := l.inside; t != nil; t = t.next {
			dumpRequest(w, l, &t.request, -1, details)
		}
	})
}

// dumpRequest writes a request that waits at a place of its queue, or runs (-1).
func dumpRequest(w io.Writer, l *level, r *fair.Request, place int, details bool) {
	t := r.Owner.(*ticket)
	start := time.Time{}
	if place < 0 {
		start = began.Add(r.Began)
	}
	columns := []any{
		l.name, t.schema.object.Name, r.Place(), place, t.schema.distinguish(t.state), began.Add(r.Arrived).UTC().Format(time.RFC3339Nano),
		r.Work.Seats, r.Work.Final, r.Work.Extra, start.UTC().Format(time.RFC3339Nano),
	}
	if s := t.state; details {
		version := schema.GroupVersion{Group: s.Group, Version: s.Version}
		columns = append(columns, s.User.Name, s.Verb, s.Path, s.Namespace, s.Name, version, s.Resource, s.Subresource)
	}
	row(w, columns...)
}
