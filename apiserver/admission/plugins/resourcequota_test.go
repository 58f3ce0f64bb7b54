package plugins

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/septet-io/septet/resource/quota"
)

func amounts(pairs ...string) corev1.ResourceList {
	all := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		all[corev1.ResourceName(pairs[i])] = apiresource.MustParse(pairs[i+1])
	}
	return all
}

func limit(name string, hard, used corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard}, Status: corev1.ResourceQuotaStatus{Hard: hard, Used: used},
	}
}

func podThatAsks(requests, limits corev1.ResourceList) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "c", Image: "example.com/c", Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}}},
	}}
}

func usedOf(t *testing.T, get func(context.Context, string, metav1.GetOptions) (*corev1.ResourceQuota, error), name string) string {
	t.Helper()
	q, err := get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return quota.Print(q.Status.Used, quota.Names(q.Status.Used))
}

func TestQuotaIsCharged(t *testing.T) {
	t.Parallel()
	small := podThatAsks(amounts("cpu", "1"), nil)
	big := podThatAsks(amounts("cpu", "2"), nil)
	for _, test := range []struct {
		name        string
		quotas      []runtime.Object
		object, old runtime.Object
		dry         bool
		refused     string
		used        string // of quota q afterwards
	}{
		{"it fits", []runtime.Object{limit("q", amounts("pods", "2", "requests.cpu", "3"), amounts("pods", "1", "requests.cpu", "500m"))}, small, nil, false, "", "pods=2,requests.cpu=1500m"},
		{"a dry run", []runtime.Object{limit("q", amounts("pods", "2"), amounts("pods", "1"))}, small, nil, true, "", "pods=1"},
		{"it is full", []runtime.Object{limit("q", amounts("pods", "2", "requests.cpu", "9"), amounts("pods", "2", "requests.cpu", "1"))}, small, nil, false,
			`pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`, "pods=2,requests.cpu=1"},
		{"another one is full, so nothing is charged", []runtime.Object{limit("q", amounts("pods", "2"), amounts("pods", "0")), limit("r", amounts("pods", "0"), amounts("pods", "0"))}, small, nil, false,
			"exceeded quota: r, requested: pods=1, used: pods=0, limited: pods=0", "pods=0"},
		{"it does not say what it needs", []runtime.Object{limit("q", amounts("limits.cpu", "2"), amounts("limits.cpu", "0"))}, small, nil, false,
			"failed quota: q: must specify limits.cpu for: c", "limits.cpu=0"},
		{"nobody has counted yet", []runtime.Object{limit("q", amounts("pods", "2"), nil)}, small, nil, false, "status unknown for quota: q, resources: pods", ""},
		{"a pod grows", []runtime.Object{limit("q", amounts("pods", "1", "requests.cpu", "4"), amounts("pods", "1", "requests.cpu", "1"))}, big, small, false, "", "pods=1,requests.cpu=2"},
		{"a pod shrinks", []runtime.Object{limit("q", amounts("pods", "1", "requests.cpu", "1"), amounts("pods", "1", "requests.cpu", "2"))}, small, big, false, "", "pods=1,requests.cpu=2"},
		{"secrets do not count", []runtime.Object{limit("q", amounts("pods", "0"), amounts("pods", "0"))}, &corev1.Secret{}, nil, false, "", "pods=0"},
		{"secrets count", []runtime.Object{limit("q", amounts("count/secrets", "1"), amounts("count/secrets", "1"))}, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, nil, false,
			`secrets "s" is forbidden: exceeded quota: q, requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1`, "count/secrets=1"},
	} {
		plugin, set := world(t, resourceQuota, test.quotas...)
		a := creation(test.object)
		if test.old != nil {
			a = update(test.object, test.old)
		}
		a.DryRun = test.dry
		agree(t, test.name, run(t, plugin, a), test.refused)
		if got := usedOf(t, set.CoreV1().ResourceQuotas("default").Get, "q"); got != test.used {
			t.Errorf("%s: used %s, want %s", test.name, got, test.used)
		}
	}
}

// TestQuotaThatSomebodyElseCharges is read anew, and may be full by then.
func TestQuotaThatSomebodyElseCharges(t *testing.T) {
	t.Parallel()
	plugin, set := world(t, resourceQuota, limit("q", amounts("pods", "2"), amounts("pods", "1")))
	once := true
	set.Interface.(*fake.Clientset).PrependReactor("update", "resourcequotas", func(k8stesting.Action) (bool, runtime.Object, error) {
		if !once {
			return false, nil, nil
		}
		once = false
		full := limit("q", amounts("pods", "2"), amounts("pods", "2"))
		if err := set.Interface.(*fake.Clientset).Tracker().Update(corev1.SchemeGroupVersion.WithResource("resourcequotas"), full, "default"); err != nil {
			t.Error(err)
		}
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "resourcequotas"}, "q", nil)
	})
	agree(t, "a lost race", run(t, plugin, creation(podThatAsks(nil, nil))), "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2")
}

// TestQuotaThatHasJustBeenCounted holds for whoever has seen that, though the informer has not.
func TestQuotaThatHasJustBeenCounted(t *testing.T) {
	t.Parallel()
	uncounted := limit("q", amounts("pods", "2"), nil)
	uncounted.Status.Hard = nil
	plugin, set := world(t, resourceQuota, uncounted)
	agree(t, "before it is counted", run(t, plugin, creation(podThatAsks(nil, nil))), "")
	set.Interface.(*fake.Clientset).PrependReactor("get", "resourcequotas", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, limit("q", amounts("pods", "2"), amounts("pods", "2")), nil
	})
	agree(t, "once it is", run(t, plugin, creation(podThatAsks(nil, nil))), "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2")
}

// TestWhatOnlyAQuotaAllows is limited by default: it is refused where no quota is about it.
func TestWhatOnlyAQuotaAllows(t *testing.T) {
	t.Parallel()
	const head = "{apiVersion: apiserver.config.k8s.io/v1, kind: ResourceQuotaConfiguration, limitedResources: "
	const byAmount = head + "[{resource: pods, matchContains: [requests.cpu]}]}"
	const byScope = head + "[{resource: pods, matchScopes: [{scopeName: PriorityClass, operator: In, values: [high]}]}]}"
	high := podThatAsks(amounts("cpu", "1"), nil)
	high.Spec.PriorityClassName = "high"
	forHigh := limit("q", amounts("pods", "2"), amounts("pods", "0"))
	forHigh.Spec.ScopeSelector = &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
		{ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: []string{"high"}}}}
	none := []runtime.Object(nil)
	for name, test := range map[string]struct {
		configuration string
		quotas        []runtime.Object
		object        runtime.Object
		refused       string
	}{
		"no quota":                {byAmount, none, high, `pods "p" is forbidden: insufficient quota to consume: requests.cpu`},
		"a quota of other things": {byAmount, []runtime.Object{limit("q", amounts("pods", "2"), amounts("pods", "0"))}, high, "insufficient quota to consume: requests.cpu"},
		"a quota":                 {byAmount, []runtime.Object{limit("q", amounts("requests.cpu", "2"), amounts("requests.cpu", "0"))}, high, ""},
		"nothing of it is used":   {byAmount, none, podThatAsks(nil, nil), ""},
		"another resource":        {byAmount, none, &corev1.Secret{}, ""},
		"a scope without a quota": {byScope, none, high, `pods "p" is forbidden: insufficient quota to match these scopes: [{PriorityClass In [high]}]`},
		"a scope with one":        {byScope, []runtime.Object{forHigh}, high, ""},
		"out of the scope":        {byScope, none, podThatAsks(nil, nil), ""},
	} {
		plugin, _ := world(t, placed(t, nil, "ResourceQuota", test.configuration, resourceQuota), test.quotas...)
		agree(t, name, run(t, plugin, creation(test.object)), test.refused)
	}
	for configuration, want := range map[string]string{
		"{apiVersion: v1, kind: Pod}": `it is a "Pod" of "v1"`,
		head + "[{apiGroup: apps}]}":  "limitedResources[0].resource: Required value",
	} {
		if _, err := placed(t, nil, "ResourceQuota", configuration, resourceQuota)(&Env{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", configuration, err, want)
		}
	}
}
