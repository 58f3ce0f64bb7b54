package podtopologyspread

// domains counts, for one constraint, the pods by domain over the nodes that take part, and knows the least of the counts.
type domains struct {
	part    []int32 // by row: the count that the row adds, -1 if it takes no part
	in      []int32 // by row: the domain that it was added to
	counts  []int32 // by domain
	members []int32 // by domain: rows that take part
	hist    []int32 // by count: domains with it
	alive   int32   // domains with members
	least   int32   // lower bound of the least count
}

func (d *domains) put(row, domain, count int32) {
	for int(row) >= len(d.part) {
		d.part, d.in = append(d.part, -1), append(d.in, -1)
	}
	if d.part[row] == count && (count < 0 || d.in[row] == domain) {
		return
	}
	if d.part[row] >= 0 {
		d.change(d.in[row], -d.part[row], -1)
	}
	d.part[row], d.in[row] = count, domain
	if count >= 0 {
		d.change(domain, count, 1)
	}
}

func (d *domains) change(domain, count, rows int32) {
	for int(domain) >= len(d.counts) {
		d.counts, d.members = append(d.counts, 0), append(d.members, 0)
	}
	if d.members[domain] > 0 {
		d.hist[d.counts[domain]]--
		d.alive--
	}
	d.counts[domain] += count
	d.members[domain] += rows
	if d.members[domain] > 0 {
		n := d.counts[domain]
		for int(n) >= len(d.hist) {
			d.hist = append(d.hist, 0)
		}
		d.hist[n]++
		d.alive++
		d.least = min(d.least, n)
	}
}

// at is the count in a domain.
func (d *domains) at(domain int32) int32 {
	if domain < 0 || int(domain) >= len(d.counts) {
		return 0
	}
	return d.counts[domain]
}

// row is what the row itself adds.
func (d *domains) row(row int32) int32 {
	if int(row) >= len(d.part) || d.part[row] < 0 {
		return 0
	}
	return d.part[row]
}

// minimum is the least count of a domain; no domain at all counts as more than any.
func (d *domains) minimum() int32 {
	if d.alive == 0 {
		return 1<<31 - 1
	}
	for d.hist[d.least] == 0 {
		d.least++
	}
	return d.least
}
