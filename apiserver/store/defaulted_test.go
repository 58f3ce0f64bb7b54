package store

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/builtin"
)

// A StatefulSet reads back as it was written, though protobuf drops the kinds of its claim templates.
func TestDefaultedReadsBackWhatWasFilledIn(t *testing.T) {
	t.Parallel()
	var sets *resource.Kind
	for _, kind := range builtin.All() {
		if kind.Resource.Resource == "statefulsets" {
			sets = kind
		}
	}
	set := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{}}}}
	sets.Default(set)
	codec := Defaulted(ProtobufCodec(sets), sets)
	data, err := codec.Encode(set)
	if err != nil {
		t.Fatal(err)
	}
	back, err := codec.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !apiequality.Semantic.DeepEqual(back.(*appsv1.StatefulSet).Spec, set.Spec) {
		t.Errorf("read back differently: %+v", back)
	}
}
