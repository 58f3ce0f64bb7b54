package hash

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// The expected values hold for the types of the API version that this module is built with: a new field of a Pod changes
// them, upstream's just as ours.
func TestTemplate(t *testing.T) {
	t.Parallel()
	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"b": "2", "a": "1"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
	}
	plain := Template(template, nil)
	if again := Template(template.DeepCopy(), nil); again != plain {
		t.Errorf("a copy's hash is %s, not %s: pointers or the order of keys got into it", again, plain)
	}
	if Template(template, ptr.To[int32](0)) == plain || Template(template, ptr.To[int32](1)) == Template(template, ptr.To[int32](2)) {
		t.Error("the count of collisions does not matter")
	}
	template.Spec.Containers[0].Image = "web:2"
	if Template(template, nil) == plain {
		t.Error("another image has the same hash")
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	// FNV-32 of "data0" and "data" in the safe alphabet.
	if a, b := Revision([]byte("data"), ptr.To[int32](0)), Revision([]byte("data"), nil); a == b || len(a) == 0 {
		t.Errorf("%s, %s", a, b)
	}
	for _, r := range Revision([]byte("data"), nil) {
		if r == 'a' || r == 'e' || r == '0' || r == '1' || r == '3' {
			t.Errorf("%q is in no safe name", r)
		}
	}
}
