package revision

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

func TestDataIsThePatchThatUpstreamWrites(t *testing.T) {
	t.Parallel()
	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "db", Image: "db:1"}}},
	}
	data, err := Data(template)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"db"}},"spec":{"containers":[{"image":"db:1","name":"db","resources":{}}]}}}}`
	if string(data) != want {
		t.Errorf("\n got %s\nwant %s", data, want)
	}
	back, err := Template(&appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: data}})
	if err != nil || !equality.Semantic.DeepEqual(back, template) {
		t.Errorf("read back as %+v, %v", back, err)
	}
}

func revision(name string, number int64, data string) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Revision: number, Data: runtime.RawExtension{Raw: []byte(`{"is":"` + data + `"}`)}}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	all := []*appsv1.ControllerRevision{revision("c", 3, "x"), revision("a", 1, "x"), revision("b", 2, "y")}
	Sort(all)
	if all[0].Name != "a" || all[2].Name != "c" || Next(all) != 4 || Next(nil) != 1 {
		t.Errorf("order %v, next %d", all, Next(all))
	}
	if equal := Equal(all, []byte(`{"is":"x"}`)); len(equal) != 2 || equal[1].Name != "c" {
		t.Errorf("equal: %v", equal)
	}
	if excess := Excess(all, map[string]bool{"c": true}, ptr.To[int32](1)); len(excess) != 1 || excess[0].Name != "a" {
		t.Errorf("excess: %v", excess)
	}
	if Excess(all, nil, nil) != nil {
		t.Error("without a limit something is too much")
	}
	if got := Name(strings.Repeat("x", 300), "hash"); len(got) != 228 {
		t.Errorf("a name of %d characters", len(got))
	}
}

func TestANameThatIsTakenIsNoticed(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset(revision("a", 1, "x"))
	if made, collided, err := Create(context.Background(), api, revision("a", 2, "x")); err != nil || collided || made.Revision != 1 {
		t.Errorf("the same data: %v, %v, %v", made, collided, err)
	}
	if _, collided, err := Create(context.Background(), api, revision("a", 2, "y")); err != nil || !collided {
		t.Errorf("other data: %v, %v", collided, err)
	}
}
