package own

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/reconcile"
)

var kind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}

func pod(name string, matches bool, owner types.UID) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "other"}}}
	if matches {
		p.Labels["app"] = "web"
	}
	if owner != "" {
		p.OwnerReferences = []metav1.OwnerReference{{UID: owner, Controller: ptr.To(true)}}
	}
	return p
}

// conformance: Replica Set, adopt matching pods and release non matching pods
func TestClaim(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		pod           *corev1.Pod
		ownerDies     bool   // in the cache
		fresh         string // UID that the API has; "" is the same
		freshDies     bool
		patchErr      error
		ours, failing bool
		patch         string // part of what is written
	}{
		{name: "ours", pod: pod("p", true, "me"), ours: true},
		{name: "another's", pod: pod("p", true, "other")},
		{name: "an orphan that matches", pod: pod("p", true, ""), ours: true, patch: `"kind":"ReplicaSet","name":"web","uid":"me","controller":true`},
		{name: "an orphan that does not", pod: pod("p", false, "")},
		{name: "ours no longer", pod: pod("p", false, "me"), patch: `"$patch":"delete"`},
		{name: "ours no longer, but we die", pod: pod("p", false, "me"), ownerDies: true},
		{name: "an orphan, but we die", pod: pod("p", true, ""), ownerDies: true},
		{name: "an orphan that dies", pod: func() *corev1.Pod { p := pod("p", true, ""); p.DeletionTimestamp = &metav1.Time{}; return p }()},
		{name: "an orphan, but the API has another of our name", pod: pod("p", true, ""), fresh: "newer", failing: true},
		{name: "an orphan, but the API knows that we die", pod: pod("p", true, ""), freshDies: true, failing: true},
		{name: "an orphan that has just gone", pod: pod("p", true, ""), patchErr: apierrors.NewNotFound(corev1.Resource("pods"), "p")},
		{name: "an orphan that cannot be written", pod: pod("p", true, ""), patchErr: errors.New("no"), failing: true},
		{name: "ours no longer, and gone", pod: pod("p", false, "me"), patchErr: apierrors.NewNotFound(corev1.Resource("pods"), "p")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			owner := &metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "me"}
			if test.ownerDies {
				owner.DeletionTimestamp = &metav1.Time{}
			}
			patches := ""
			claim := Claim[*corev1.Pod]{
				Owner: owner, Kind: kind, Selector: labels.SelectorFromSet(labels.Set{"app": "web"}), Of: "Pod",
				Fresh: func(context.Context) (metav1.Object, error) {
					fresh := owner.DeepCopy()
					if test.fresh != "" {
						fresh.UID = types.UID(test.fresh)
					}
					if test.freshDies {
						fresh.DeletionTimestamp = &metav1.Time{}
					}
					return fresh, nil
				},
				Patch: func(_ context.Context, _ *corev1.Pod, patch []byte) error {
					patches += string(patch)
					return test.patchErr
				},
			}
			ours, err := claim.Sort(context.Background(), []*corev1.Pod{test.pod})
			if (err != nil) != test.failing || (len(ours) == 1) != test.ours {
				t.Errorf("ours: %v, error: %v", len(ours) == 1, err)
			}
			if test.patch == "" && patches != "" && test.patchErr == nil || !strings.Contains(patches, test.patch) {
				t.Errorf("written: %s", patches)
			}
		})
	}
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	e, key := NewExpectations(), reconcile.Key{Name: "web"}
	satisfied := func(want bool, when string) {
		t.Helper()
		if got, _ := e.Satisfied(key); got != want {
			t.Errorf("%s: satisfied is %v", when, got)
		}
	}
	satisfied(true, "at first")
	e.Created(key)
	satisfied(true, "after something that nobody waited for")
	e.Creations(key, 2)
	satisfied(false, "with two to come")
	e.Created(key)
	e.NotCreated(key, 1)
	satisfied(true, "when one came and one failed")
	e.Deletions(key, "a", "b")
	e.Deleted(key, "a")
	e.Deleted(key, "a")
	e.Deleted(key, "x")
	satisfied(false, "with one still to go")
	e.Deleted(key, "b")
	satisfied(true, "when all went")
	e.Creations(key, 5)
	e.Forget(key)
	satisfied(true, "when forgotten")
}
