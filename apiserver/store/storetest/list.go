package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/apiserver/store"
)

func names(items []*store.Item) string {
	var all []string
	for _, item := range items {
		all = append(all, strings.TrimPrefix(item.Key.Namespace+"/"+item.Key.Name, "/"))
	}
	return strings.Join(all, " ")
}

func list(t testing.TB, s store.Store, q store.Query) *store.Page {
	t.Helper()
	page, err := s.List(t.Context(), q)
	if err != nil {
		t.Fatalf("list %+v: %v", q, err)
	}
	return page
}

func selector(t testing.TB, s string) labels.Selector {
	t.Helper()
	parsed, err := labels.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func testListSelections(t *testing.T, start Start) {
	maker, _ := start(t)
	s := maker(t, Pods)
	for _, p := range []struct{ namespace, name, node, color string }{
		{"a", "x", "n1", "red"}, {"a-b", "x", "n2", "red"}, {"a", "y", "", "blue"}, {"b", "x", "n1", "blue"}, {"a", "xx", "n1", "red"},
	} {
		create(t, s, Pod(p.namespace, p.name, p.node, map[string]string{"color": p.color}))
	}
	field := fields.ParseSelectorOrDie
	for _, test := range []struct {
		query store.Query
		want  string
	}{
		{store.Query{}, "a-b/x a/x a/xx a/y b/x"},
		{store.Query{Namespace: "a"}, "a/x a/xx a/y"},
		{store.Query{Namespace: "a", Name: "x"}, "a/x"},
		{store.Query{Name: "x"}, "a-b/x a/x b/x"},
		{store.Query{Namespace: "none"}, ""},
		{store.Query{Labels: selector(t, "color=red")}, "a-b/x a/x a/xx"},
		{store.Query{Namespace: "a", Labels: selector(t, "color!=red")}, "a/y"},
		{store.Query{Fields: field("spec.nodeName=n1")}, "a/x a/xx b/x"},
		{store.Query{Fields: field("spec.nodeName=n1"), Namespace: "a"}, "a/x a/xx"},
		{store.Query{Fields: field("spec.nodeName=")}, "a/y"},
		{store.Query{Fields: field("spec.nodeName!=n1")}, "a-b/x a/y"},
		{store.Query{Fields: field("spec.nodeName=n1,metadata.name=x")}, "a/x b/x"},
		{store.Query{Fields: field("metadata.namespace=b")}, "b/x"},
		{store.Query{Fields: field("metadata.name=xx")}, "a/xx"},
		{store.Query{Fields: field("status.phase=Pending"), Labels: selector(t, "color=blue")}, "a/y b/x"},
		{store.Query{Fields: field("status.phase=Running")}, ""},
	} {
		if got := names(list(t, s, test.query).Items); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.query, got, test.want)
		}
		// The same in pages of one.
		var got []string
		for query := test.query; ; {
			query.Limit = 1
			page := list(t, s, query)
			got = append(got, names(page.Items))
			if page.Continue == "" {
				break
			}
			query.Continue = page.Continue
		}
		got = slices.DeleteFunc(got, func(s string) bool { return s == "" })
		if strings.Join(got, " ") != test.want {
			t.Errorf("%+v in pages: got %s, want %s", test.query, got, test.want)
		}
	}
	if _, err := s.List(t.Context(), store.Query{Fields: field("spec.color=red")}); !apierrors.IsBadRequest(err) {
		t.Errorf("unknown field: %v", err)
	}
}

// testPages: all pages show the state of the first, whatever is written meanwhile and even from another server.
func testPages(t *testing.T, start Start) {
	maker, client := start(t)
	s, other := maker(t, ConfigMaps), maker(t, ConfigMaps)
	for i := range 10 {
		create(t, s, ConfigMap("default", fmt.Sprint(i), "1"))
	}
	first := list(t, s, store.Query{Namespace: "default", Limit: 4})
	if len(first.Items) != 4 || first.Remaining == nil || *first.Remaining != 6 || first.Continue == "" {
		t.Fatalf("first page: %+v", first)
	}
	remove(t, s, store.Key{Namespace: "default", Name: "5"})
	setValue(t, s, store.Key{Namespace: "default", Name: "6"}, "2")
	create(t, s, ConfigMap("default", "55", "2"))
	for _, server := range []store.Store{s, other} {
		second := list(t, server, store.Query{Namespace: "default", Limit: 4, Continue: first.Continue})
		if names(second.Items) != "default/4 default/5 default/6 default/7" || value(second.Items[2]) != "1" ||
			second.Revision != first.Revision || second.Remaining == nil || *second.Remaining != 2 {
			t.Fatalf("second page: %s %+v", names(second.Items), second)
		}
		third := list(t, server, store.Query{Namespace: "default", Limit: 4, Continue: second.Continue})
		if names(third.Items) != "default/8 default/9" || third.Continue != "" || third.Remaining != nil {
			t.Fatalf("third page: %s %+v", names(third.Items), third)
		}
	}
	exact := list(t, s, store.Query{ResourceVersion: revisionString(first.Revision), Match: metav1.ResourceVersionMatchExact})
	if len(exact.Items) != 10 || exact.Revision != first.Revision {
		t.Fatalf("exact: %s at %d", names(exact.Items), exact.Revision)
	}
	now := list(t, s, store.Query{})
	if _, err := client.Compact(t.Context(), now.Revision); err != nil {
		t.Fatal(err)
	}
	// A server that has no picture of that revision says so, and offers to go on without.
	_, err := maker(t, ConfigMaps).List(t.Context(), store.Query{Namespace: "default", Limit: 4, Continue: first.Continue})
	if !apierrors.IsResourceExpired(err) {
		t.Fatalf("page after compaction: %v", err)
	}
	token := err.(apierrors.APIStatus).Status().ListMeta.Continue
	rest := list(t, s, store.Query{Namespace: "default", Continue: token})
	if names(rest.Items) != "default/4 default/55 default/6 default/7 default/8 default/9" {
		t.Fatalf("inconsistent continuation: %s", names(rest.Items))
	}
	_, err = maker(t, ConfigMaps).List(t.Context(), store.Query{ResourceVersion: "1", Match: metav1.ResourceVersionMatchExact})
	if !apierrors.IsResourceExpired(err) {
		t.Fatalf("exact list of a compacted revision: %v", err)
	}
	for _, bad := range []string{"x", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi8uLi9zZWNyZXRzIn0"} {
		if _, err := s.List(t.Context(), store.Query{Continue: bad}); !apierrors.IsBadRequest(err) {
			t.Errorf("token %s: %v", bad, err)
		}
	}
}

func testRevisions(t *testing.T, start Start) {
	maker, _ := start(t)
	s := maker(t, ConfigMaps)
	one := create(t, s, ConfigMap("default", "a", "1"))
	two := create(t, s, ConfigMap("default", "b", "1"))
	before, after, future := revisionString(one.Revision), revisionString(two.Revision), revisionString(two.Revision+1000)
	const exact, notOlder = metav1.ResourceVersionMatchExact, metav1.ResourceVersionMatchNotOlderThan
	for _, test := range []struct {
		query store.Query
		want  string
	}{
		{store.Query{}, "default/a default/b"},
		{store.Query{ResourceVersion: before}, "default/a default/b"},
		{store.Query{ResourceVersion: before, Match: notOlder}, "default/a default/b"},
		{store.Query{ResourceVersion: before, Match: notOlder, Limit: 5}, "default/a default/b"},
		{store.Query{ResourceVersion: before, Match: exact}, "default/a"},
		{store.Query{ResourceVersion: before, Limit: 5}, "default/a"},
		{store.Query{ResourceVersion: after, Match: exact}, "default/a default/b"},
		{store.Query{ResourceVersion: "0"}, "default/a default/b"},
		{store.Query{ResourceVersion: "0", Match: notOlder, Limit: 1}, "default/a"},
	} {
		if got := names(list(t, s, test.query).Items); got != test.want {
			// "Whatever is at hand" may be older.
			if test.query.ResourceVersion == "0" {
				continue
			}
			t.Errorf("%+v: %s, want %s", test.query, got, test.want)
		}
	}
	isTooLarge := func(err error) bool {
		return apierrors.IsTimeout(err) && strings.Contains(err.Error(), "Too large resource version") &&
			apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
	}
	if _, err := s.List(t.Context(), store.Query{ResourceVersion: future}); !isTooLarge(err) {
		t.Errorf("list in the future: %v", err)
	}
	if _, err := s.Get(t.Context(), one.Key, future); !isTooLarge(err) {
		t.Errorf("get in the future: %v", err)
	}
	if _, err := s.Get(t.Context(), one.Key, before); err != nil {
		t.Errorf("get not older than: %v", err)
	}
	if _, err := s.Get(t.Context(), one.Key, "x"); !apierrors.IsBadRequest(err) {
		t.Errorf("get at x: %v", err)
	}
	// Other kinds' writes make revisions too; a kind without changes must reach them at once.
	namespaces := maker(t, Namespaces)
	for range 20 {
		create(t, s, ConfigMap("default", fmt.Sprint("c", list(t, s, store.Query{}).Revision), "1"))
		if page := list(t, namespaces, store.Query{}); page.Revision < two.Revision {
			t.Fatalf("revision %d", page.Revision)
		}
	}
}
