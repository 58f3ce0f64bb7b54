package decide

import "sort"

// table is the answer of a program for every row.
type table struct {
	verdict []uint32
	class   []int32 // -1: not feasible by the row filters
	score   []int64
	place   []int32 // in the slot
	// refused counts rows by verdict, so that a pod that fits nowhere costs no look at the nodes.
	refused map[uint32]int
	// suspects are rows to look at again before the next decision.
	suspects []int32
}

// slots are the rows of a class by score, best first. Empty slots stay, so that rows move without allocation.
type slots struct {
	list []slot
	top  int // no row is in a slot before it
	rows int
}

type slot struct {
	score int64
	rows  []int32
}

func (s *slots) find(score int64) (int, bool) {
	lo, hi := 0, len(s.list)
	for lo < hi {
		mid := (lo + hi) / 2
		if s.list[mid].score > score {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(s.list) && s.list[lo].score == score
}

func (s *slots) add(row int32, score int64) (place int32) {
	i, ok := s.find(score)
	if !ok {
		s.list = append(s.list, slot{})
		copy(s.list[i+1:], s.list[i:])
		s.list[i] = slot{score: score}
		if i <= s.top && s.rows > 0 {
			s.top++
		}
	}
	if s.rows == 0 || i < s.top {
		s.top = i
	}
	s.rows++
	s.list[i].rows = append(s.list[i].rows, row)
	return int32(len(s.list[i].rows) - 1)
}

// remove takes a row out and returns the row that took its place, or -1.
func (s *slots) remove(score int64, place int32) (moved int32) {
	i, _ := s.find(score)
	rows := s.list[i].rows
	last := len(rows) - 1
	moved = -1
	if int(place) != last {
		moved = rows[last]
		rows[place] = moved
	}
	s.list[i].rows = rows[:last]
	s.rows--
	for s.top < len(s.list)-1 && len(s.list[s.top].rows) == 0 {
		s.top++
	}
	return moved
}

// best is the slot with the highest score; only valid if there are rows.
func (s *slots) best() *slot { return &s.list[s.top] }

// fill makes the table and enters every row.
func (g *program) fill() {
	n := g.snapshot.Rows()
	for _, c := range g.classes {
		c.slots = slots{}
	}
	g.table = &table{
		verdict: make([]uint32, n), class: make([]int32, n), score: make([]int64, n), place: make([]int32, n),
		refused: map[uint32]int{},
	}
	for row := range g.table.verdict {
		g.table.verdict[row], g.table.class[row] = absent, -1
	}
	for row := range g.table.verdict {
		g.enter(int32(row))
	}
}

// enter works a row's answer out anew.
func (g *program) enter(row int32) {
	t := g.table
	for int(row) >= len(t.verdict) {
		t.verdict, t.class = append(t.verdict, absent), append(t.class, -1)
		t.score, t.place = append(t.score, 0), append(t.place, 0)
	}
	verdict := g.check(row)
	class, score := int32(-1), int64(0)
	if verdict == 0 {
		class, score = g.classOf(row), g.rowScore(row)
	}
	g.set(row, verdict, class, score)
}

// set moves a row to its new place.
func (g *program) set(row int32, verdict uint32, class int32, score int64) {
	t := g.table
	if old := t.verdict[row]; old != verdict {
		if old != 0 && old != absent {
			if t.refused[old]--; t.refused[old] == 0 {
				delete(t.refused, old)
			}
		}
		if verdict != 0 && verdict != absent {
			t.refused[verdict]++
		}
		t.verdict[row] = verdict
	}
	if t.class[row] == class && (class < 0 || t.score[row] == score) {
		return
	}
	if old := t.class[row]; old >= 0 {
		if moved := g.classes[old].slots.remove(t.score[row], t.place[row]); moved >= 0 {
			t.place[moved] = t.place[row]
		}
	}
	t.class[row], t.score[row] = class, score
	if class >= 0 {
		t.place[row] = g.classes[class].slots.add(row, score)
	}
}

// refusals lists the verdicts in order, for messages.
func (t *table) refusals() []uint32 {
	list := make([]uint32, 0, len(t.refused))
	for v := range t.refused {
		list = append(list, v)
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}
