package plugins

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func limitsOf(items ...corev1.LimitRangeItem) *corev1.LimitRange {
	return &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "l"}, Spec: corev1.LimitRangeSpec{Limits: items}}
}

func TestLimitRangesBound(t *testing.T) {
	t.Parallel()
	container, pod := corev1.LimitTypeContainer, corev1.LimitTypePod
	claim := func(size string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "d"}, Spec: corev1.PersistentVolumeClaimSpec{
			Resources: corev1.VolumeResourceRequirements{Requests: amounts("storage", size)},
		}}
	}
	storage := corev1.LimitRangeItem{Type: corev1.LimitTypePersistentVolumeClaim, Min: amounts("storage", "1Gi"), Max: amounts("storage", "5Gi")}
	two := podThatAsks(amounts("cpu", "1"), amounts("cpu", "1"))
	two.Spec.Containers = append(two.Spec.Containers, two.Spec.Containers[0])
	for _, test := range []struct {
		name   string
		item   corev1.LimitRangeItem
		object runtime.Object
		want   string
	}{
		{"inside", corev1.LimitRangeItem{Type: container, Min: amounts("cpu", "50m"), Max: amounts("cpu", "1")}, podThatAsks(amounts("cpu", "100m"), amounts("cpu", "1")), ""},
		{"no request", corev1.LimitRangeItem{Type: container, Min: amounts("cpu", "50m")}, podThatAsks(nil, nil), `pods "p" is forbidden: minimum cpu usage per Container is 50m.  No request is specified`},
		{"too small a request", corev1.LimitRangeItem{Type: container, Min: amounts("cpu", "50m")}, podThatAsks(amounts("cpu", "10m"), nil), "minimum cpu usage per Container is 50m, but request is 10m"},
		{"too small a limit", corev1.LimitRangeItem{Type: container, Min: amounts("cpu", "50m")}, podThatAsks(amounts("cpu", "50m"), amounts("cpu", "10m")), "minimum cpu usage per Container is 50m, but limit is 10m"},
		{"no limit", corev1.LimitRangeItem{Type: container, Max: amounts("memory", "1Gi")}, podThatAsks(nil, nil), "maximum memory usage per Container is 1Gi.  No limit is specified"},
		{"too large a limit", corev1.LimitRangeItem{Type: container, Max: amounts("memory", "1Gi")}, podThatAsks(nil, amounts("memory", "2Gi")), "maximum memory usage per Container is 1Gi, but limit is 2Gi"},
		{"two wrongs", corev1.LimitRangeItem{Type: container, Max: amounts("cpu", "1", "memory", "1Gi")}, podThatAsks(nil, nil),
			"[maximum cpu usage per Container is 1.  No limit is specified, maximum memory usage per Container is 1Gi.  No limit is specified]"},
		{"the whole pod", corev1.LimitRangeItem{Type: pod, Max: amounts("cpu", "1500m")}, two, "maximum cpu usage per Pod is 1500m, but limit is 2"},
		{"ratio", corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu", "2")}, podThatAsks(amounts("cpu", "1"), amounts("cpu", "3")), "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"},
		{"ratio of nothing", corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu", "2")}, podThatAsks(nil, amounts("cpu", "3")), "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"},
		{"claim", storage, claim("2Gi"), ""},
		{"small claim", storage, claim("500Mi"), `persistentvolumeclaims "d" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi`},
		{"large claim", storage, claim("10Gi"), "maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 10Gi"},
	} {
		plugin, _ := world(t, limitRanger, limitsOf(test.item))
		agree(t, test.name, run(t, plugin, creation(test.object)), test.want)
	}
}

func TestLimitRangesFillIn(t *testing.T) {
	t.Parallel()
	plugin, _ := world(t, limitRanger, limitsOf(corev1.LimitRangeItem{
		Type: corev1.LimitTypeContainer, Default: amounts("cpu", "500m", "memory", "500Mi"), DefaultRequest: amounts("cpu", "100m", "memory", "200Mi"),
	}))
	pod := podThatAsks(amounts("cpu", "300m"), nil)
	agree(t, "defaults", run(t, plugin, creation(pod)), "")
	resources := pod.Spec.Containers[0].Resources
	if resources.Requests.Cpu().String() != "300m" || resources.Requests.Memory().String() != "200Mi" || resources.Limits.Cpu().String() != "500m" || resources.Limits.Memory().String() != "500Mi" {
		t.Errorf("%v", resources)
	}
	if got, want := pod.Annotations[limitAnnotation], "LimitRanger plugin set: memory request for container c; cpu, memory limit for container c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// A Pod that exists is not filled in; of updates only a resize is measured.
	small := podThatAsks(nil, nil)
	agree(t, "an update", run(t, plugin, update(small, small)), "")
	if len(small.Annotations) != 0 {
		t.Errorf("%v", small.Annotations)
	}
}
