package quota

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

func list(pairs ...string) corev1.ResourceList {
	all := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		all[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return all
}

func pod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "a", Resources: corev1.ResourceRequirements{Requests: list("cpu", "1", "example.com/gpu", "2"), Limits: list("cpu", "2", "memory", "1Gi", "example.com/gpu", "2")},
	}}}}
	if change != nil {
		change(p)
	}
	return p
}

func TestUsage(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	claim := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: ptr.To("fast"), Resources: corev1.VolumeResourceRequirements{Requests: list("storage", "5Gi")},
	}}
	balancer := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: make([]corev1.ServicePort, 2)}}
	quiet := balancer.DeepCopy()
	quiet.Spec.AllocateLoadBalancerNodePorts, quiet.Spec.Ports[1].NodePort = ptr.To(false), 30001
	for _, test := range []struct {
		name, of string
		obj      any
		want     string
	}{
		{"a pod", "pods", pod(nil), "count/pods=1,cpu=1,limits.cpu=2,limits.memory=1Gi,pods=1,requests.cpu=1,requests.example.com/gpu=2"},
		{"a pod that has ended", "pods", pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), "count/pods=1"},
		{"a pod that should be gone", "pods", pod(func(p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = ptr.To(metav1.NewTime(now.Add(-time.Minute))), ptr.To[int64](30)
		}), "count/pods=1"},
		{"init containers, of which one stays", "pods", pod(func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list("cpu", "1")}
			p.Spec.InitContainers = []corev1.Container{
				{Name: "stays", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways), Resources: corev1.ResourceRequirements{Requests: list("cpu", "500m")}},
				{Name: "sets up", Resources: corev1.ResourceRequirements{Requests: list("cpu", "3")}},
			}
			p.Spec.Overhead = list("cpu", "100m", "memory", "64Mi")
		}), "count/pods=1,cpu=3600m,memory=64Mi,pods=1,requests.cpu=3600m,requests.memory=64Mi"},
		{"resources of the whole pod", "pods", pod(func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: list("cpu", "4")}
		}), "count/pods=1,cpu=4,pods=1,requests.cpu=4"},
		{"a resize that is under way", "pods", pod(func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list("cpu", "1")}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "a", AllocatedResources: list("cpu", "2")}}
		}), "count/pods=1,cpu=2,pods=1,requests.cpu=2"},
		{"a claim", "persistentvolumeclaims", claim, "count/persistentvolumeclaims=1,fast.storageclass.storage.k8s.io/persistentvolumeclaims=1," +
			"fast.storageclass.storage.k8s.io/requests.storage=5Gi,persistentvolumeclaims=1,requests.storage=5Gi"},
		{"a load balancer", "services", balancer, "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2"},
		{"a load balancer that allocates no ports", "services", quiet, "count/services=1,services=1,services.loadbalancers=1,services.nodeports=1"},
		{"a secret", "secrets", &corev1.Secret{}, "count/secrets=1,secrets=1"},
		{"a deployment", "deployments.apps", nil, "count/deployments.apps=1"},
	} {
		usage := Usage(schema.ParseGroupResource(test.of), test.obj, now)
		if got := Print(usage, Names(usage)); got != test.want {
			t.Errorf("%s uses\n%s, want\n%s", test.name, got, test.want)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	best := pod(func(p *corev1.Pod) { p.Spec.Containers[0].Resources = corev1.ResourceRequirements{} })
	high := pod(func(p *corev1.Pod) { p.Spec.PriorityClassName, p.Spec.ActiveDeadlineSeconds = "high", ptr.To[int64](1) })
	far := pod(func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			PodAffinityTerm: corev1.PodAffinityTerm{Namespaces: []string{"other"}},
		}}}}
	})
	scope := func(name corev1.ResourceQuotaScope) corev1.ResourceQuotaSpec {
		return corev1.ResourceQuotaSpec{Scopes: []corev1.ResourceQuotaScope{name}}
	}
	selector := func(operator corev1.ScopeSelectorOperator, values ...string) corev1.ResourceQuotaSpec {
		return corev1.ResourceQuotaSpec{ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
			{ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: operator, Values: values},
		}}}
	}
	for name, test := range map[string]struct {
		spec                   corev1.ResourceQuotaSpec
		best, high, far, other bool
	}{
		"none":           {corev1.ResourceQuotaSpec{}, true, true, true, true},
		"BestEffort":     {scope(corev1.ResourceQuotaScopeBestEffort), true, false, false, false},
		"NotBestEffort":  {scope(corev1.ResourceQuotaScopeNotBestEffort), false, true, true, false},
		"Terminating":    {scope(corev1.ResourceQuotaScopeTerminating), false, true, false, false},
		"NotTerminating": {scope(corev1.ResourceQuotaScopeNotTerminating), true, false, true, false},
		"CrossNamespace": {scope(corev1.ResourceQuotaScopeCrossNamespacePodAffinity), false, false, true, false},
		"In":             {selector(corev1.ScopeSelectorOpIn, "high", "low"), false, true, false, false},
		"NotIn":          {selector(corev1.ScopeSelectorOpNotIn, "high"), true, false, true, false},
		"Exists":         {selector(corev1.ScopeSelectorOpExists), false, true, false, false},
		"DoesNotExist":   {selector(corev1.ScopeSelectorOpDoesNotExist), true, false, true, false},
	} {
		q := &corev1.ResourceQuota{Spec: test.spec}
		if got := [4]bool{Matches(q, best), Matches(q, high), Matches(q, far), Matches(q, &corev1.Secret{})}; got != [4]bool{test.best, test.high, test.far, test.other} {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	p := pod(func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "b"}} })
	err := Missing(list("requests.memory", "1", "limits.cpu", "1", "pods", "1"), p)
	if want := "must specify limits.cpu for: b; requests.memory for: a,b"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	p.Spec.Resources = &corev1.ResourceRequirements{Requests: list("memory", "1Gi"), Limits: list("cpu", "1")}
	if err := Missing(list("requests.memory", "1", "limits.cpu", "1"), p); err != nil {
		t.Error(err)
	}
}

func TestExceeded(t *testing.T) {
	t.Parallel()
	over := Exceeded(list("pods", "3", "cpu", "1", "other", "5"), list("pods", "2", "cpu", "1", "memory", "1"))
	if len(over) != 1 || over[0] != "pods" {
		t.Errorf("%v", over)
	}
	grown := Increase(list("cpu", "2", "memory", "1", "pods", "1"), list("cpu", "1", "memory", "2", "pods", "1"))
	if got := Print(grown, Names(grown)); got != "cpu=1" {
		t.Error(got)
	}
}
