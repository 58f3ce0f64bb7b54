// Package decide chooses a node for a pod from a Snapshot, without I/O and without waiting.
//
// The rules of a profile are compiled once for all pods of a shape (program). For shapes that come again, the program keeps a table:
// a verdict, a class and a score for every row, updated for the rows that changed since the last time. A decision
// for a plain pod then looks at the one or two rows that changed and at the best entries of each class, not at the nodes.
package decide

import (
	"encoding/binary"
	"slices"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/profile"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// verdictBits is where the number of the filter begins in a row's verdict: the filter's place plus one, so that 0 is "fits".
const verdictBits = 26

// absent is the verdict of a row that is no node.
const absent = ^uint32(0)

type filterStep struct {
	place int // in Profile.Filters
	row   plugin.RowFilter
	group plugin.GroupFilter
	off   int // of its part of the key
	width int
}

type scoreStep struct {
	place  int // in Profile.Scores
	weight int64
	row    plugin.RowScorer
	group  plugin.GroupScorer
	off    int
	width  int
}

// program is a profile compiled for a shape.
type program struct {
	profile  *profile.Profile
	shape    *snapshot.Shape
	snapshot *snapshot.Snapshot
	compile  plugin.Compile
	epoch    uint64

	rows      []filterStep // filters by row
	groups    []filterStep // filters by class
	rowScores []scoreStep
	scores    []scoreStep // scores by class
	followers []plugin.Group
	width     int
	// places of the plugins that were compiled
	filterPlaces, scorePlaces []int

	seq  uint64 // the changes up to here are followed
	uses int
	stay uint64 // the decision that used it last

	classes    []*class
	classIndex map[string]int32
	key        []int32
	keyBytes   []byte

	table *table // nil until the shape has come twice
}

// class is the rows with one key.
type class struct {
	key     []int32
	slots   slots
	stamp   uint64 // the decision that the fields below belong to
	verdict uint32
	found   int   // feasible rows in this decision
	share   int64 // what the scores by class add for its rows
}

func compile(p *profile.Profile, shape *snapshot.Shape, s *snapshot.Snapshot) *program {
	g := &program{profile: p, shape: shape, snapshot: s, epoch: s.Epoch(), classIndex: map[string]int32{}}
	g.compile = plugin.Compile{Snapshot: s, Shape: shape}
	for place, f := range p.Filters {
		if f.Columns == nil {
			continue
		}
		switch compiled := f.Columns.CompileFilter(&g.compile).(type) {
		case nil:
		case plugin.GroupFilter:
			g.groups = append(g.groups, filterStep{place: place, group: compiled, off: g.width, width: compiled.Width()})
			g.follow(compiled)
		case plugin.RowFilter:
			g.rows = append(g.rows, filterStep{place: place, row: compiled})
		}
	}
	for place, f := range p.Scores {
		if f.Columns == nil || f.Weight == 0 {
			continue
		}
		switch compiled := f.Columns.CompileScore(&g.compile).(type) {
		case nil:
		case plugin.GroupScorer:
			g.scores = append(g.scores, scoreStep{place: place, weight: f.Weight, group: compiled, off: g.width, width: compiled.Width()})
			g.follow(compiled)
		case plugin.RowScorer:
			g.rowScores = append(g.rowScores, scoreStep{place: place, weight: f.Weight, row: compiled})
		}
	}
	for _, list := range [2][]filterStep{g.rows, g.groups} {
		for i := range list {
			g.filterPlaces = append(g.filterPlaces, list[i].place)
		}
	}
	for _, list := range [2][]scoreStep{g.rowScores, g.scores} {
		for i := range list {
			g.scorePlaces = append(g.scorePlaces, list[i].place)
		}
	}
	g.key = make([]int32, g.width)
	g.seq = s.Seq()
	return g
}

func (g *program) follow(group plugin.Group) {
	g.width += group.Width()
	g.followers = append(g.followers, group)
}

// Release implements snapshot.Releaser.
func (g *program) Release() { g.compile.Release() }

// catchUp brings the program to the present. It returns false when it is better made anew.
func (g *program) catchUp() bool {
	if g.epoch != g.snapshot.Epoch() || !g.compile.Valid() {
		return false
	}
	if g.seq == g.snapshot.Seq() {
		return true
	}
	if g.table == nil && len(g.followers) == 0 {
		g.seq = g.snapshot.Seq()
		return true
	}
	seq, ok := g.snapshot.Since(g.seq, g.followRow)
	g.seq = seq
	return ok
}

func (g *program) followRow(row int32) {
	for _, f := range g.followers {
		f.Follow(row)
	}
	if g.table != nil {
		g.enter(row)
	}
}

// check asks the row filters about a row, with the pods that are promised the row and go first already there.
func (g *program) check(row int32) uint32 {
	if !g.snapshot.Exists(row) {
		return absent
	}
	if len(g.snapshot.Nominated[row]) > 0 {
		if v := g.checkPromised(row, g.checkRows); v != 0 {
			return v
		}
	}
	return g.checkRows(row)
}

func (g *program) checkRows(row int32) uint32 {
	for i := range g.rows {
		if v := g.rows[i].row.Check(row); v != plugin.Fits {
			return uint32(g.rows[i].place+1)<<verdictBits | uint32(v)
		}
	}
	return 0
}

// checkAll is checkRows and the filters by class.
func (g *program) checkAll(row int32) uint32 {
	if v := g.checkRows(row); v != 0 {
		return v
	}
	g.keyOf(row)
	return g.checkGroups(g.key)
}

func (g *program) checkGroups(key []int32) uint32 {
	for i := range g.groups {
		step := &g.groups[i]
		if v := step.group.CheckKey(key[step.off : step.off+step.width]); v != plugin.Fits {
			return uint32(step.place+1)<<verdictBits | uint32(v)
		}
	}
	return 0
}

// checkPromised runs a check while the pods promised to the row, of at least the shape's priority, are charged to it; 0 if there are none.
func (g *program) checkPromised(row int32, check func(int32) uint32) (v uint32) {
	g.withPromised(row, func() { v = check(row) })
	return v
}

// withPromised runs f, if there are any such pods, while those promised to the row that go before the shape's are charged to it.
func (g *program) withPromised(row int32, f func()) {
	if !slices.ContainsFunc(g.snapshot.Nominated[row], g.before) {
		return
	}
	s := g.snapshot
	s.Trial(func() {
		var placed []*snapshot.Pod
		for _, p := range s.Nominated[row] {
			if g.before(p) {
				guest := *p
				s.PlaceOn(&guest, row)
				placed = append(placed, &guest)
			}
		}
		g.refollow(row)
		f()
		for i := len(placed) - 1; i >= 0; i-- {
			s.Displace(placed[i])
		}
		g.refollow(row)
	})
}

func (g *program) refollow(row int32) {
	for _, f := range g.followers {
		f.Follow(row)
	}
}

func (g *program) before(p *snapshot.Pod) bool { return p.Shape.Priority >= g.shape.Priority }

// keyOf writes the row's key to g.key.
func (g *program) keyOf(row int32) {
	for i := range g.groups {
		step := &g.groups[i]
		step.group.Key(row, g.key[step.off:step.off+step.width])
	}
	for i := range g.scores {
		step := &g.scores[i]
		step.group.Key(row, g.key[step.off:step.off+step.width])
	}
}

// classOf returns the class of a row that passed the row filters.
func (g *program) classOf(row int32) int32 {
	if g.width == 0 {
		if len(g.classes) == 0 {
			g.classes = append(g.classes, &class{})
		}
		return 0
	}
	g.keyOf(row)
	b := g.keyBytes[:0]
	for _, k := range g.key {
		b = binary.LittleEndian.AppendUint32(b, uint32(k))
	}
	g.keyBytes = b
	if id, ok := g.classIndex[string(b)]; ok {
		return id
	}
	id := int32(len(g.classes))
	g.classes = append(g.classes, &class{key: append([]int32(nil), g.key...)})
	g.classIndex[string(b)] = id
	return id
}

// rowScore sums what the scores by row give.
func (g *program) rowScore(row int32) (sum int64) {
	for i := range g.rowScores {
		step := &g.rowScores[i]
		sum += step.weight * step.row.Score(row)
	}
	return sum
}
