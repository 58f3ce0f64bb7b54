package plugin

import "github.com/septet-io/septet/scheduler/snapshot"

// Verdict is what a compiled filter says of a node: Fits, or why not in the filter's own code. The upper six bits must be zero.
type Verdict uint32

// Fits is the verdict of a node that a filter has nothing against.
const Fits Verdict = 0

// FilterColumns is a filter that compiles itself for a shape.
type FilterColumns interface {
	Plugin
	// CompileFilter returns a RowFilter or a GroupFilter, or nil if the shape does not concern the plugin.
	CompileFilter(c *Compile) ColumnFilter
}

// ScoreColumns is a score that compiles itself for a shape.
type ScoreColumns interface {
	Plugin
	// CompileScore returns a RowScorer or a GroupScorer, or nil if every node would get 0.
	CompileScore(c *Compile) ColumnScorer
}

// ColumnFilter is a compiled filter: RowFilter or GroupFilter.
type ColumnFilter interface {
	// Explain puts a verdict into upstream's code and reasons.
	Explain(v Verdict) (Code, []string)
}

// RowFilter depends on nothing but the row's own columns (nominated pods are charged to them while it is asked).
type RowFilter interface {
	ColumnFilter
	Check(row int32) Verdict
}

// Group puts rows into classes: rows with equal keys always get equal answers, so that a question about thousands of nodes is asked
// once a class. Counts by topology domain, which change for many nodes at once, stay out of the key, their domain's id goes in.
type Group interface {
	// Width is the number of ints in a key; it does not change.
	Width() int
	// Key writes the row's key.
	Key(row int32, key []int32)
	// Follow tells that the row's columns, pods or labels changed. It is called before Key.
	Follow(row int32)
}

// GroupFilter answers by class.
type GroupFilter interface {
	ColumnFilter
	Group
	CheckKey(key []int32) Verdict
}

// ColumnScorer is a compiled score: RowScorer or GroupScorer.
type ColumnScorer any

// RowScorer rates a row from 0 to MaxScore by the row's own columns alone.
type RowScorer interface {
	Score(row int32) int64
}

// Ignored as a raw score takes the class out of the range for Normalize and gives it 0.
const Ignored int64 = -1 << 63

// Class is a set of feasible rows with the same key.
type Class struct {
	Key  []int32
	Rows int
}

// GroupScorer rates classes: raw first, then normalized by the range over all feasible nodes.
type GroupScorer interface {
	Group
	// Begin is told the feasible classes before Raw is asked.
	Begin(classes []Class)
	Raw(key []int32) int64
	Normalize(raw, low, high int64) int64
}

// Compile is what a compiled filter or score may use.
type Compile struct {
	Snapshot *snapshot.Snapshot
	Shape    *snapshot.Shape

	holds  []Holder
	guards []func() bool
}

// Holder is something interned in the Snapshot that must be held while it is used.
type Holder interface {
	Hold()
	Release()
}

// Hold keeps h for as long as what is being compiled lives.
func (c *Compile) Hold(h Holder) {
	h.Hold()
	c.holds = append(c.holds, h)
}

// Guard adds a condition under which what was compiled stays true. It is asked before every decision, so it must be very cheap.
func (c *Compile) Guard(valid func() bool) { c.guards = append(c.guards, valid) }

// Valid says whether all guards hold.
func (c *Compile) Valid() bool {
	for _, valid := range c.guards {
		if !valid() {
			return false
		}
	}
	return true
}

// Release gives back what was held.
func (c *Compile) Release() {
	for _, h := range c.holds {
		h.Release()
	}
	c.holds = nil
}
