package decide

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/profile"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// benchCluster is a cluster of equal nodes in ten zones.
func benchCluster(nodes int) *snapshot.Snapshot {
	s := snapshot.New()
	s.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, "default")
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i)
		s.Volumes.Nodes[name] = &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.CSINodeSpec{
			Drivers: []storagev1.CSINodeDriver{{Name: testDriver, Allocatable: &storagev1.VolumeNodeResources{Count: ptr.To[int32](39)}}}}}
		s.SetNode(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprintf("zone%d", i%10)}},
			Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("1100"),
			}},
		})
	}
	for i := range 5000 { // a volume for each pod
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("pod-%d", i), Annotations: map[string]string{"pv.kubernetes.io/bind-completed": "yes"}}}
		claim.Spec.VolumeName = claim.Name
		s.Volumes.Claims["default/"+claim.Name] = claim
		s.Volumes.Volumes[claim.Name] = &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: claim.Name}, Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: testDriver, VolumeHandle: claim.Name}}}}
	}
	return s
}

func benchPod(name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "web"}}}
	p.Spec.SchedulerName = corev1.DefaultSchedulerName
	p.Spec.Containers = []corev1.Container{{Image: "app:1", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("500Mi"),
	}}}}
	if change != nil {
		change(p)
	}
	return p
}

func webTerm(key string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}
}

// benchShapes are the kinds of pods by what makes them costly.
var benchShapes = []struct {
	name   string
	change func(*corev1.Pod)
}{
	{"plain", nil},
	{"nodeAffinity", func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{"zone1", "zone2"}}}}}}}}
	}},
	{"podAffinity", func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{webTerm(corev1.LabelTopologyZone)}}}
	}},
	{"preferredPodAffinity", func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: webTerm(corev1.LabelHostname)}}}}
	}},
	{"preferredAntiAffinity", func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: webTerm(corev1.LabelHostname)}}}}
	}},
	{"requiredAntiAffinity", func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{webTerm(corev1.LabelHostname)}}}
	}},
	{"spread", func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 5, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
	}},
	{"volumes", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: p.Name}}}}
	}},
	{"preferredSpread", func(p *corev1.Pod) {
		for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelHostname} {
			p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.ScheduleAnyway,
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}})
		}
	}},
}

// BenchmarkDecide is the cost of one decision and of taking it over into the Snapshot, pods of one kind coming one after the other.
// Required anti-affinity by host name fills the cluster, so pods are taken off again from time to time; that is not measured.
func BenchmarkDecide(b *testing.B) {
	profile := defaultProfile(b)
	for _, shape := range benchShapes {
		for _, nodes := range []int{100, 1000, 5000, 15000, 50000} {
			b.Run(fmt.Sprintf("%s/nodes=%d", shape.name, nodes), func(b *testing.B) {
				bench(b, nodes, profile, func(_ int, p *corev1.Pod) {
					if shape.change != nil {
						shape.change(p)
					}
				})
			})
		}
	}
}

// BenchmarkDecideForEachAnew is the same for pods of which no two ask for the same, so that nothing can be kept from one for the next, and
// as many nodes are rated as is usual.
func BenchmarkDecideForEachAnew(b *testing.B) {
	profile := profileRating(b, 0)
	for _, shape := range benchShapes {
		for _, nodes := range []int{1000, 5000, 50000} {
			b.Run(fmt.Sprintf("%s/nodes=%d", shape.name, nodes), func(b *testing.B) {
				memory := int64(500 << 20)
				bench(b, nodes, profile, func(_ int, p *corev1.Pod) {
					if shape.change != nil {
						shape.change(p)
					}
					memory++
					p.Spec.Containers[0].Resources.Requests[corev1.ResourceMemory] = *resource.NewQuantity(memory, resource.BinarySI)
				})
			})
		}
	}
}

// bench decides for one pod after the other. Change makes them what they are, and is called again for each round.
func bench(b *testing.B, nodes int, profile *profile.Profile, change func(i int, p *corev1.Pod)) {
	s := benchCluster(nodes)
	d := New(s)
	request := &Request{Profile: profile}
	round := min(nodes*9/10, 1000)
	pods := make([]*snapshot.Pod, round)
	cycle := &plugin.Cycle{Snapshot: s}
	request.Cycle = cycle
	place := func(p *snapshot.Pod) {
		p.Shape = s.Intern(p.Object)
		cycle.Pod = p
		result := d.Decide(context.Background(), request)
		if result.Row < 0 {
			b.Fatal(result.Failure.Message())
		}
		s.PlaceOn(p, result.Row)
	}
	clear := func() {
		for i, p := range pods {
			if p != nil && p.Row >= 0 {
				s.Displace(p)
			}
			pods[i] = s.NewPod(benchPod(fmt.Sprintf("pod-%d", i), func(p *corev1.Pod) { change(i, p) }))
		}
		place(pods[0])
		s.Displace(pods[0])
	}
	clear()
	for _, p := range pods { // once around, so that what grows has grown
		place(p)
	}
	clear()
	cpu := -used()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if i%round == 0 && i > 0 {
			b.StopTimer()
			cpu += used()
			clear()
			cpu -= used()
			b.StartTimer()
		}
		place(pods[i%round])
	}
	b.ReportMetric(float64(cpu+used())/float64(b.N), "cpu-ns/op")
}

// used is the CPU time of this process: what a decision costs on a machine that is busy with other things.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
