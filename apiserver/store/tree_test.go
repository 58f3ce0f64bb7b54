package store

import (
	"fmt"
	"math/rand"
	"sort"
	"strings"
	"testing"
)

// TestTreeAgainstAMap does the same random writes to trees and to maps, and compares them, old versions included.
func TestTreeAgainstAMap(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewSource(1))
	now, reference := tree{compare: byKey}, map[Key]*Item{}
	type version struct {
		tree tree
		keys []string
	}
	var versions []version
	for round := range 20000 {
		key := Key{Namespace: []string{"a", "a-b", "a.c", "b"}[random.Intn(4)], Name: fmt.Sprint(random.Intn(700))}
		grow := (round/4000)%2 == 0
		if random.Intn(3) > 0 == grow {
			item := &Item{Key: key}
			now, reference[key] = now.insert(item), item
		} else {
			now = now.remove(&Item{Key: key})
			delete(reference, key)
		}
		if got := now.get(key); got != reference[key] {
			t.Fatalf("round %d: get(%v) = %v", round, key, got)
		}
		if round%1000 == 999 {
			versions = append(versions, version{now, sortedPaths(reference)})
		}
	}
	for i, v := range versions {
		if got := paths(v.tree); strings.Join(got, " ") != strings.Join(v.keys, " ") {
			t.Fatalf("version %d: %d items, want %d", i, len(got), len(v.keys))
		}
		for position, path := range v.keys {
			namespace, name, _ := strings.Cut(path, "/")
			key := Key{Namespace: namespace, Name: name}
			if rank := v.tree.rank(func(i *Item) bool { return compareKeys(i.Key, key) < 0 }); rank != position {
				t.Fatalf("rank of %s is %d, want %d", path, rank, position)
			}
		}
	}
}

func TestBuildIsTheSameAsInserting(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 24, 25, 1000, 20000} {
		var items []*Item
		inserted := tree{compare: byKey}
		for i := range n {
			item := &Item{Key: Key{Name: fmt.Sprintf("%06d", i)}}
			items, inserted = append(items, item), inserted.insert(item)
		}
		built := build(byKey, items)
		if strings.Join(paths(built), " ") != strings.Join(paths(inserted), " ") || built.len() != n {
			t.Fatalf("%d items: built has %d, inserted %d", n, built.len(), inserted.len())
		}
	}
}

func paths(t tree) (all []string) {
	t.ascend(0, func(i *Item) bool { all = append(all, i.Key.Namespace+"/"+i.Key.Name); return true })
	return all
}

func sortedPaths(items map[Key]*Item) (all []string) {
	for key := range items {
		all = append(all, key.Namespace+"/"+key.Name)
	}
	sort.Strings(all)
	return all
}
