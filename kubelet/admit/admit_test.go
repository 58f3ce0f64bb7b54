package admit

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func podWith(cpu string, change func(*v1.Pod)) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Name: "p"}, Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c"}}}}
	if cpu != "" {
		pod.Spec.Containers[0].Resources.Requests = v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu)}
	}
	if change != nil {
		change(pod)
	}
	return pod
}

func allocatable(cpu, pods string) v1.ResourceList {
	return v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu), v1.ResourceMemory: resource.MustParse("1Gi"), v1.ResourcePods: resource.MustParse(pods)}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	port := func(pod *v1.Pod) {
		pod.Spec.Containers[0].Ports = []v1.ContainerPort{{HostPort: 80, Protocol: v1.ProtocolTCP}}
	}
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"zone": "a", "size": "7"}},
		Spec: v1.NodeSpec{Taints: []v1.Taint{{Key: "bad", Effect: v1.TaintEffectNoExecute}}}}
	require := func(r ...v1.NodeSelectorRequirement) func(*v1.Pod) {
		return func(pod *v1.Pod) {
			pod.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
				NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: r}}}}}
		}
	}
	for name, test := range map[string]struct {
		pod    *v1.Pod
		others []*v1.Pod
		under  v1.NodeConditionType
		want   string
	}{
		"fits":                {podWith("1", nil), []*v1.Pod{podWith("1", nil)}, "", ""},
		"too much":            {podWith("1500m", nil), []*v1.Pod{podWith("1", nil)}, "", "OutOfcpu"},
		"too many":            {podWith("", nil), []*v1.Pod{podWith("", nil), podWith("", nil), podWith("", nil)}, "", "OutOfpods"},
		"port taken":          {podWith("", port), []*v1.Pod{podWith("", port)}, "", "NodePorts"},
		"best effort, memory": {podWith("", nil), nil, v1.NodeMemoryPressure, "Evicted"},
		"burstable, memory":   {podWith("1", nil), nil, v1.NodeMemoryPressure, ""},
		"burstable, disk":     {podWith("1", nil), nil, v1.NodeDiskPressure, "Evicted"},
		"zone":                {podWith("", require(v1.NodeSelectorRequirement{Key: "zone", Operator: v1.NodeSelectorOpIn, Values: []string{"b", "a"}})), nil, "", ""},
		"other zone":          {podWith("", require(v1.NodeSelectorRequirement{Key: "zone", Operator: v1.NodeSelectorOpNotIn, Values: []string{"a"}})), nil, "", "NodeAffinity"},
		"size":                {podWith("", require(v1.NodeSelectorRequirement{Key: "size", Operator: v1.NodeSelectorOpGt, Values: []string{"6"}})), nil, "", ""},
		"of the cluster": {podWith("1", func(p *v1.Pod) {
			p.Spec.Containers[0].Resources.Requests["example.com/licence"] = resource.MustParse("1")
		}), nil, "", ""},
		"static, taint": {podWith("", func(p *v1.Pod) { p.Annotations = map[string]string{"kubernetes.io/config.source": "file"} }), nil, "", "TaintToleration"},
	} {
		s := &Snapshot{Node: node, Allocatable: allocatable("2", "3"), Others: test.others, Under: map[v1.NodeConditionType]bool{test.under: true}}
		got := ""
		if r := Check(test.pod, s); r != nil {
			got = r.Reason
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestTheBookOutlivesItsKubelet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *Book {
		b, err := OpenBook(dir)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	cpu := func(b *Book) string {
		given := b.Get("u")
		if given == nil {
			return ""
		}
		requests := given.Containers["c"].Requests
		return requests.Cpu().String()
	}
	b := open()
	if err := b.Enter(podWith("1", nil)); err != nil {
		t.Fatal(err)
	}
	// It now asks for more than there is, for more than is left, and for what there is.
	pending, err := b.Resize(podWith("3", nil), nil, allocatable("2", "9"))
	if err != nil || pending == nil || pending.Reason != v1.PodReasonInfeasible {
		t.Errorf("more than there is: %+v, %v", pending, err)
	}
	pending, err = b.Resize(podWith("2", nil), []*v1.Pod{podWith("1", nil)}, allocatable("2", "9"))
	if err != nil || pending == nil || pending.Reason != v1.PodReasonDeferred {
		t.Errorf("more than is left: %+v, %v", pending, err)
	}
	if b = open(); cpu(b) != "1" {
		t.Errorf("it has %s", cpu(b))
	}
	if pending, err = b.Resize(podWith("2", nil), nil, allocatable("2", "9")); err != nil || pending != nil {
		t.Errorf("what there is: %+v, %v", pending, err)
	}
	if b = open(); cpu(b) != "2" {
		t.Errorf("it has %s", cpu(b))
	}
	if err := b.Forget("u"); err != nil || cpu(open()) != "" {
		t.Errorf("it is not forgotten: %v", err)
	}
}

func TestUserIDsStayTheirPods(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := func(uid types.UID) string { return root }
	u := NewUserIDs(dir, 2)
	first, err := u.Acquire("a")
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewUserIDs(dir, 2).Acquire("a")
	if err != nil || again.UIDs[0] != first.UIDs[0] || first.UIDs[0].HostID != 65536 || first.UIDs[0].Length != 65536 {
		t.Errorf("%+v, then %+v, %v", first, again, err)
	}
}
