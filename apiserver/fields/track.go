package fields

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/septet-io/septet/resource"
)

// Tracker notes the changes of writes to one kind through one subresource. Make it with New; it is safe for concurrent use.
type Tracker struct {
	plan        *plan
	apiVersion  string
	subresource string
	compare     comparison
	nothing     resource.Object // what a created object comes from; never changed
}

// never are fields of metadata that nobody owns.
var never = []string{
	"name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion",
}

// New returns a Tracker for objects like sample, which is empty and the Tracker's from now on; nil if the kind must be left to apimachinery. reset are the fields, and
// resetMeta those of metadata, that writes through the subresource cannot change.
func New(sample resource.Object, apiVersion, subresource string, reset, resetMeta []string) *Tracker {
	p := planOf(reflect.TypeOf(sample).Elem())
	if p == nil {
		return nil
	}
	t := &Tracker{plan: p, apiVersion: apiVersion, subresource: subresource, nothing: sample}
	t.compare = comparison{skip: map[string]bool{"kind": true, "apiVersion": true}, skipMeta: map[string]bool{}}
	for _, name := range reset {
		t.compare.skip[name] = true
	}
	for _, name := range append(slices.Clone(never), resetMeta...) {
		t.compare.skipMeta[name] = true
	}
	return t
}

// maxUpdaters is from how many entries on the oldest are joined, which is left to others.
const maxUpdaters = 10

// Create is Update for an object that was not there before.
func (t *Tracker) Create(obj resource.Object, manager string, now time.Time) bool {
	return t.Update(t.nothing, obj, manager, now)
}

// Update sets obj's managedFields for a write by manager that made obj of live. False: nothing was done, the write is out
// of the ordinary.
func (t *Tracker) Update(live, obj resource.Object, manager string, now time.Time) bool {
	entries, ordinary := t.entries(live, obj)
	if !ordinary {
		return false
	}
	if len(entries) == 0 && live.GetUID() != "" {
		obj.SetManagedFields(nil) // tracking was given up for this object
		return true
	}
	nodes, err := t.compare.root(t.plan, reflect.ValueOf(live).Elem(), reflect.ValueOf(obj).Elem())
	if err != nil {
		return false
	}
	entries, ok := t.merge(entries, nodes, manager, now)
	if ok {
		obj.SetManagedFields(entries)
	}
	return ok
}

// entries are those to go on from: the sender's own where it may change them, else those that are stored.
func (t *Tracker) entries(live, obj resource.Object) ([]metav1.ManagedFieldsEntry, bool) {
	stored, sent := live.GetManagedFields(), obj.GetManagedFields()
	entries := stored
	switch {
	case t.subresource != "":
	case len(sent) == 0 && sent != nil, len(sent) == 1 && reflect.DeepEqual(sent[0], metav1.ManagedFieldsEntry{}):
		return nil, true // asked to forget
	case len(sent) > 0 && !slices.EqualFunc(sent, stored, sameEntry):
		return nil, false // changed by hand: read with care, elsewhere
	}
	if len(entries) >= maxUpdaters {
		return nil, false
	}
	for i := range entries {
		if entries[i].APIVersion != t.apiVersion || entries[i].FieldsV1 == nil || entries[i].FieldsType != "FieldsV1" {
			return nil, false
		}
	}
	return entries, true
}

func sameEntry(a, b metav1.ManagedFieldsEntry) bool {
	return a.Manager == b.Manager && a.Operation == b.Operation && a.APIVersion == b.APIVersion && a.Subresource == b.Subresource &&
		a.FieldsType == b.FieldsType && (a.Time == b.Time || a.Time != nil && a.Time.Equal(b.Time)) &&
		a.FieldsV1 != nil && b.FieldsV1 != nil && a.FieldsV1.Equal(*b.FieldsV1)
}

// merge takes changed and removed paths from everybody and gives the changed ones to manager.
func (t *Tracker) merge(entries []metav1.ManagedFieldsEntry, nodes []node, manager string, now time.Time) ([]metav1.ManagedFieldsEntry, bool) {
	if len(nodes) == 0 {
		return slices.Clone(entries), true
	}
	own := metav1.ManagedFieldsEntry{
		Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: t.apiVersion, Subresource: t.subresource, FieldsType: "FieldsV1",
	}
	stamp := metav1.NewTime(now.UTC().Truncate(time.Second)) // as it will be read again
	if len(entries) == 0 {
		if !reaches(nodes, changed) {
			return nil, true
		}
		raw, err := appendJSON(make([]byte, 0, 1024), nodes, false)
		own.FieldsV1, own.Time = metav1.NewFieldsV1(string(raw)), &stamp
		return []metav1.ManagedFieldsEntry{own}, err == nil
	}
	gained, lost := pathSet(nodes, changed), pathSet(nodes, removed)
	touched := gained.Union(lost)
	result := make([]metav1.ManagedFieldsEntry, 0, len(entries)+1)
	found := false
	for _, entry := range entries {
		mine := isMine(&entry, &own)
		found = found || mine
		set, err := setOf(entry.FieldsV1.GetRawString())
		if err != nil {
			return nil, false
		}
		next := set
		if mine && !gained.Empty() {
			next = set.Difference(lost).Union(gained)
			entry.Time = &stamp
		} else if !set.Intersection(touched).Empty() {
			next = set.Difference(touched)
		}
		if next.Empty() {
			continue
		}
		if next != set {
			raw, err := next.ToJSON()
			if err != nil {
				return nil, false
			}
			entry.FieldsV1 = metav1.NewFieldsV1(string(raw))
		}
		result = append(result, entry)
	}
	if !found && !gained.Empty() {
		raw, err := gained.ToJSON()
		if err != nil {
			return nil, false
		}
		own.FieldsV1, own.Time = metav1.NewFieldsV1(string(raw)), &stamp
		result = append(result, own)
	}
	slices.SortStableFunc(result, byAge)
	return result, true
}

func isMine(entry, own *metav1.ManagedFieldsEntry) bool {
	return entry.Manager == own.Manager && entry.Operation == own.Operation && entry.Subresource == own.Subresource
}

// byAge is the order in which entries are written: applied ones first, then by time.
func byAge(a, b metav1.ManagedFieldsEntry) int {
	if c := strings.Compare(string(a.Operation), string(b.Operation)); c != 0 {
		return c
	}
	if c := int(seconds(a.Time) - seconds(b.Time)); c != 0 {
		return c
	}
	if c := strings.Compare(a.Manager, b.Manager); c != 0 {
		return c
	}
	return strings.Compare(a.Subresource, b.Subresource)
}

func seconds(t *metav1.Time) int64 {
	if t == nil {
		return 0
	}
	return t.Unix()
}

// sets remembers decoded sets: objects from one template, and one object at its next write, have the same. Sets
// are never changed.
var sets = struct {
	sync.Mutex
	known map[string]*fieldpath.Set
	size  int
}{known: map[string]*fieldpath.Set{}}

// maxSets bounds the bytes of JSON whose sets are kept.
const maxSets = 512 << 10

func setOf(raw string) (*fieldpath.Set, error) {
	sets.Lock()
	known := sets.known[raw]
	sets.Unlock()
	if known != nil {
		return known, nil
	}
	set := &fieldpath.Set{}
	if err := set.FromJSON(strings.NewReader(raw)); err != nil {
		return nil, err
	}
	sets.Lock()
	defer sets.Unlock()
	if sets.size > maxSets {
		clear(sets.known)
		sets.size = 0
	}
	sets.known[raw] = set
	sets.size += len(raw)
	return set, nil
}
