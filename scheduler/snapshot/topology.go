package snapshot

// Topology is one label key by which nodes fall into domains.
type Topology struct {
	Key    string
	of     []int32 // row to domain, -1 without the label
	ids    map[string]int32
	values []string
	sizes  []int32 // nodes in each domain
	shared int     // domains of more than one node
	// Version changes when domains stop being, or become, single nodes.
	Version uint64
	counts  []*DomainCount
}

// Domain of a row, or -1.
func (t *Topology) Domain(row int32) int32 { return t.of[row] }

// Domains is the number of domain ids so far.
func (t *Topology) Domains() int { return len(t.values) }

// Value of a domain.
func (t *Topology) Value(domain int32) string { return t.values[domain] }

// Unique says that every domain is a single node, as with host names.
func (t *Topology) Unique() bool { return t.shared == 0 }

// Topology interns a topology key.
func (s *Snapshot) Topology(key string) *Topology {
	if t, ok := s.topologies[key]; ok {
		return t
	}
	t := &Topology{Key: key, of: make([]int32, len(s.Node), cap(s.Node)), ids: map[string]int32{}}
	for row := range t.of {
		t.of[row] = -1
		if node := s.pendingNode(int32(row)); node != nil {
			if value, ok := node.Labels[key]; ok {
				t.join(int32(row), value)
			}
		}
	}
	s.topologies[key] = t
	return t
}

func (t *Topology) join(row int32, value string) {
	id, ok := t.ids[value]
	if !ok {
		id = int32(len(t.values))
		t.ids[value] = id
		t.values = append(t.values, value)
		t.sizes = append(t.sizes, 0)
	}
	t.of[row] = id
	if t.sizes[id]++; t.sizes[id] == 2 {
		if t.shared++; t.shared == 1 {
			t.Version++
		}
	}
}

func (t *Topology) leave(row int32) {
	id := t.of[row]
	t.of[row] = -1
	if t.sizes[id]--; t.sizes[id] == 1 {
		if t.shared--; t.shared == 0 {
			t.Version++
		}
	}
}

// moveDomain follows a node's labels, and moves the counts of its pods along.
func (s *Snapshot) moveDomain(t *Topology, row int32, nodeLabels map[string]string) {
	value, ok := nodeLabels[t.Key]
	old := t.of[row]
	if (old < 0 && !ok) || (old >= 0 && ok && t.values[old] == value) {
		return
	}
	for _, d := range t.counts {
		if n := d.counter.rows[row]; n != 0 && old >= 0 {
			d.add(old, -n)
		}
	}
	if old >= 0 {
		t.leave(row)
	}
	if ok {
		t.join(row, value)
		for _, d := range t.counts {
			if n := d.counter.rows[row]; n != 0 {
				d.add(t.of[row], n)
			}
		}
	}
}

// DomainCount is a Counter by topology domain.
type DomainCount struct {
	Topology *Topology
	counter  *tally
	counts   []int32
	// Total counts the pods on nodes that have the label.
	Total int32
}

// At is the count in a domain.
func (d *DomainCount) At(domain int32) int32 {
	if domain < 0 || int(domain) >= len(d.counts) {
		return 0
	}
	return d.counts[domain]
}

// Row is the count in the domain of a row, 0 without the label.
func (d *DomainCount) Row(row int32) int32 { return d.At(d.Topology.of[row]) }

func (d *DomainCount) add(domain, n int32) {
	for int(domain) >= len(d.counts) {
		d.counts = append(d.counts, 0)
	}
	d.counts[domain] += n
	d.Total += n
}

// tally counts pods by row, and by domain of each topology that somebody asked about.
type tally struct {
	rows    map[int32]int32
	domains []*DomainCount
}

func (c *tally) add(row, n int32) {
	if count := c.rows[row] + n; count == 0 {
		delete(c.rows, row)
	} else {
		c.rows[row] = count
	}
	for _, d := range c.domains {
		if domain := d.Topology.of[row]; domain >= 0 {
			d.add(domain, n)
		}
	}
}

// by returns the counts by domains of a topology, made on first use.
func (c *tally) by(t *Topology) *DomainCount {
	for _, d := range c.domains {
		if d.Topology == t {
			return d
		}
	}
	d := &DomainCount{Topology: t, counter: c, counts: make([]int32, len(t.values))}
	for row, n := range c.rows {
		if domain := t.of[row]; domain >= 0 {
			d.add(domain, n)
		}
	}
	c.domains = append(c.domains, d)
	t.counts = append(t.counts, d)
	return d
}

func (c *tally) drop() {
	for _, d := range c.domains {
		for i, o := range d.Topology.counts {
			if o == d {
				last := len(d.Topology.counts) - 1
				d.Topology.counts[i] = d.Topology.counts[last]
				d.Topology.counts = d.Topology.counts[:last]
				break
			}
		}
	}
	c.domains = nil
}
