// Package profile holds sets of plugins under a scheduler name, in the order in which they run.
package profile

import (
	"github.com/septet-io/septet/scheduler/plugin"
)

// Profile is what a pod with this schedulerName goes through.
type Profile struct {
	// Name is the schedulerName.
	Name string
	// Percentage of nodes to score: 0 means the default, by the size of the cluster.
	Percentage int32

	PreEnqueue []plugin.PreEnqueue
	QueueSort  plugin.QueueSort
	PreFilters []plugin.PreFilter
	Filters    []Filter
	PostFilter []plugin.PostFilter
	PreScores  []plugin.PreScore
	Scores     []Score
	Reserve    []plugin.Reserve
	Permit     []plugin.Permit
	PreBind    []plugin.PreBind
	Bind       []plugin.Bind
	PostBind   []plugin.PostBind
	// Events are what each plugin waits for, by plugin name. A plugin that names none is not in it.
	Events map[string][]plugin.EventHint
}

// Filter is one filter in one of its two forms; the other is nil.
type Filter struct {
	Name    string
	Columns plugin.FilterColumns
	PerPod  plugin.Filter
}

// Score is one score in one of its two forms; the other is nil.
type Score struct {
	Name    string
	Weight  int64
	Columns plugin.ScoreColumns
	PerPod  plugin.Score
}
