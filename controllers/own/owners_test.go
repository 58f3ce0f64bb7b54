package own

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/reconcile"
)

// TestWhomAChangeConcerns tells whom a Pod wakes among three ReplicaSets: web and blue want its labels, but blue adopts no Pod of
// that name, and elsewhere is looked after by another controller.
func TestWhomAChangeConcerns(t *testing.T) {
	t.Parallel()
	informer := cache.NewSharedIndexInformer(nil, &appsv1.ReplicaSet{}, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, name := range []string{"web", "blue", "elsewhere"} {
		err := informer.GetIndexer().Add(&appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid of " + name)},
			Spec:       appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	owners := Owners[*appsv1.ReplicaSet]{
		Informer: informer, Kind: kind, Selector: func(rs *appsv1.ReplicaSet) *metav1.LabelSelector { return rs.Spec.Selector },
		Except: func(rs *appsv1.ReplicaSet) bool { return rs.Name == "elsewhere" },
		Match:  func(rs *appsv1.ReplicaSet, _ metav1.Object) bool { return rs.Name != "blue" },
	}
	controlled := func(name string, uid types.UID) *corev1.Pod {
		p := pod("p", true, "")
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind.Kind, Name: name, UID: uid, Controller: ptr.To(true)}}
		return p
	}
	of := func(name string) *corev1.Pod { return controlled(name, types.UID("uid of "+name)) }
	other := of("web")
	other.OwnerReferences[0].Kind = "Job"
	for _, test := range []struct {
		name     string
		old, now *corev1.Pod
		want     []string
	}{
		{name: "an orphan that matches comes", now: pod("p", true, ""), want: []string{"web"}},
		{name: "an orphan that does not match comes", now: pod("p", false, "")},
		{name: "a Pod of web's comes", now: of("web"), want: []string{"web"}},
		{name: "a Pod of web's changes", old: of("web"), now: of("web"), want: []string{"web"}},
		{name: "a Pod of web's goes", old: of("web"), want: []string{"web"}},
		{name: "a Pod moves from one to the other", old: of("blue"), now: of("web"), want: []string{"blue", "web"}},
		{name: "blue lets a Pod go that web wants", old: of("blue"), now: pod("p", true, ""), want: []string{"blue", "web"}},
		{name: "a Pod of an earlier object of that name", now: controlled("web", "uid of an earlier one")},
		{name: "a Pod of another controller's object", now: of("elsewhere")},
		{name: "a Pod of another kind's object", now: other},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var old, now metav1.Object
			if test.old != nil {
				old = test.old
			}
			if test.now != nil {
				now = test.now
			}
			var want []reconcile.Key
			for _, name := range test.want {
				want = append(want, reconcile.Key{Namespace: "default", Name: name})
			}
			if got := owners.Concerned(old, now); !slices.Equal(got, want) {
				t.Errorf("concerns %v; want %v", got, want)
			}
		})
	}
}
