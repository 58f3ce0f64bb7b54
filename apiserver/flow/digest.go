package flow

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

// digest takes over a configuration: all objects there are. Mandatory ones that are missing are imagined. Objects that contradict
// themselves are left out.
func (f *Fairness) digest(configurations []*flowcontrolv1.PriorityLevelConfiguration, schemas []*flowcontrolv1.FlowSchema) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := map[string]*flowcontrolv1.PriorityLevelConfiguration{}
	for _, object := range slices.Concat(mandatoryLevels(), configurations) {
		if sound(object) {
			wanted[object.Name] = object
		}
	}
	next := map[string]*level{}
	for name, object := range wanted {
		next[name] = f.level(object)
	}
	for name, old := range f.levels {
		if next[name] == nil && !old.idle() {
			old.mu.Lock()
			old.quiescing = true // it keeps its share until it is empty
			old.mu.Unlock()
			next[name] = old
		}
	}
	f.levels = next
	f.table.Store(f.tableOf(schemas))
	f.divide()
}

// level is the level of an object: the one there is, if there is one.
func (f *Fairness) level(object *flowcontrolv1.PriorityLevelConfiguration) *level {
	l := f.levels[object.Name]
	if l == nil {
		l = &level{name: object.Name, flows: map[string]*flowCounts{}}
		l.retry.seconds.Store(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.object, l.quiescing = object, false
	return l
}

// sound says whether an object's parts fit together. Validation sees to that; what lies in storage may be older.
func sound(object *flowcontrolv1.PriorityLevelConfiguration) bool {
	spec := &object.Spec
	limited, exempt := spec.Type == flowcontrolv1.PriorityLevelEnablementLimited, spec.Type == flowcontrolv1.PriorityLevelEnablementExempt
	if limited != (spec.Limited != nil) || exempt != (spec.Exempt != nil) || limited == exempt {
		return false
	}
	if exempt != (object.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt) {
		return false
	}
	return exempt || (spec.Limited.LimitResponse.Type == flowcontrolv1.LimitResponseTypeQueue) == (spec.Limited.LimitResponse.Queuing != nil)
}

// tableOf sorts schemas by precedence, then name; those that lead to no level are left out. The mandatory ones are the first and last.
func (f *Fairness) tableOf(schemas []*flowcontrolv1.FlowSchema) *table {
	t := &table{}
	all := slices.Clone(schemas)
	for _, one := range mandatorySchemas() {
		if !slices.ContainsFunc(all, func(s *flowcontrolv1.FlowSchema) bool { return s.Name == one.Name && f.leads(s) }) {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b *flowcontrolv1.FlowSchema) int {
		return cmp.Or(cmp.Compare(a.Spec.MatchingPrecedence, b.Spec.MatchingPrecedence), cmp.Compare(a.Name, b.Name))
	})
	for _, object := range all {
		if !f.leads(object) {
			continue
		}
		c := f.schema(object)
		t.schemas = append(t.schemas, c)
		if object.Name == flowcontrolv1.FlowSchemaNameCatchAll {
			t.catchAll = c
		}
	}
	return t
}

// leads says whether a schema's level is there and wanted.
func (f *Fairness) leads(object *flowcontrolv1.FlowSchema) bool {
	l := f.levels[object.Spec.PriorityLevelConfiguration.Name]
	return l != nil && !l.quiescing
}

func (f *Fairness) schema(object *flowcontrolv1.FlowSchema) *flowSchema {
	l := f.levels[object.Spec.PriorityLevelConfiguration.Name]
	c := &flowSchema{object: object, level: l, uid: []string{string(object.UID)}, salt: maphash.String(seed, object.Name+"\x00")}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.levelUID = []string{string(l.object.UID)}
	if c.counts = l.flows[object.Name]; c.counts == nil {
		c.counts = newFlowCounts(object.Name)
		l.flows[object.Name] = c.counts
	}
	if limited := l.object.Spec.Limited; limited != nil && limited.LimitResponse.Queuing != nil && limited.LimitResponse.Queuing.Queues > 1 {
		if object.Spec.DistinguisherMethod != nil {
			c.by = object.Spec.DistinguisherMethod.Type
		}
	}
	return c
}

// divide gives each level its part of the server's seats.
func (f *Fairness) divide() {
	var sum float64
	for _, l := range f.levels {
		sum += float64(sharesOf(l.object))
	}
	for _, l := range f.levels {
		l.mu.Lock()
		l.limits = divided(l.object, f.config.Seats, sum)
		if l.set == nil {
			l.current = l.least + (l.nominal-l.least+1)/2
		}
		l.configure(clock())
		l.mu.Unlock()
	}
	f.adjust()
}

func sharesOf(object *flowcontrolv1.PriorityLevelConfiguration) int32 {
	if limited := object.Spec.Limited; limited != nil {
		return value(limited.NominalConcurrencyShares, 30)
	}
	return value(object.Spec.Exempt.NominalConcurrencyShares, 0)
}

func value(p *int32, otherwise int32) int32 {
	if p == nil {
		return otherwise
	}
	return *p
}

// divided is a level's part of all seats: rounded up, less what others may borrow, more what it may.
func divided(object *flowcontrolv1.PriorityLevelConfiguration, seats int, sum float64) limits {
	nominal := int(math.Ceil(float64(seats) * float64(sharesOf(object)) / sum))
	part := func(percent int32) int { return int(math.Round(float64(nominal) * float64(percent) / 100)) }
	if limited := object.Spec.Limited; limited != nil {
		borrows := seats
		if limited.BorrowingLimitPercent != nil {
			borrows = part(*limited.BorrowingLimitPercent)
		}
		return limits{nominal, nominal - part(value(limited.LendablePercent, 0)), nominal + borrows}
	}
	return limits{nominal, nominal - part(value(object.Spec.Exempt.LendablePercent, 0)), nominal + seats}
}
