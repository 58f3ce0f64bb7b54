package apps

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		text, _, _ := strings.Cut(err.Error(), "\n")
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "nginx:1"}}},
	}
}

func selecting(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func goodDeployment() *appsv1.Deployment {
	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Selector: selecting("web"), Template: template()}}
	defaultDeployment(d)
	return d
}

func TestDeployments(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*appsv1.Deployment)
		want   []string
	}{
		"good": {func(*appsv1.Deployment) {}, nil},
		"no selector": {func(d *appsv1.Deployment) { d.Spec.Selector = nil }, []string{
			"spec.selector: Required value",
			"spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
		}},
		"empty selector": {func(d *appsv1.Deployment) { d.Spec.Selector = &metav1.LabelSelector{} }, []string{
			"spec.selector: Invalid value: {}: empty selector is invalid for deployment",
		}},
		"no progress": {func(d *appsv1.Deployment) {
			d.Spec.Replicas = ptr.To[int32](-1)
			d.Spec.Strategy.RollingUpdate.MaxUnavailable, d.Spec.Strategy.RollingUpdate.MaxSurge = ptr.To(intstr.FromInt32(0)), ptr.To(intstr.FromString("0%"))
			d.Spec.MinReadySeconds = 600
			d.Spec.Template.Spec.RestartPolicy = "Never"
		}, []string{
			"spec.replicas: Invalid value: -1: must be greater than or equal to 0",
			`spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`,
			"spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
			"spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds",
		}},
		"wrong strategy": {func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }, []string{
			"spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
		}},
		"more than all": {func(d *appsv1.Deployment) {
			d.Spec.Strategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromString("101%"))
		}, []string{
			`spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := goodDeployment()
			test.change(d)
			expect(t, validateDeployment(nil, d), test.want...)
		})
	}
	other := goodDeployment()
	other.Spec.Selector, other.Spec.Template.Labels = selecting("other"), map[string]string{"app": "other"}
	expect(t, validateDeploymentUpdate(nil, other, goodDeployment()),
		`spec.selector: Invalid value: {"matchLabels":{"app":"other"}}: field is immutable`)
}

func TestStatefulSetsKeepTheirNames(t *testing.T) {
	t.Parallel()
	good := func() *appsv1.StatefulSet {
		s := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Selector: selecting("web"), Template: template(), ServiceName: "web"}}
		s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": apiresource.MustParse("1Gi")}},
		}}}
		defaultStatefulSet(s)
		return s
	}
	mounting := good() // what only its claims will provide
	mounting.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	expect(t, validateStatefulSet(nil, mounting))
	scaled := good()
	scaled.Spec.Replicas, scaled.Spec.Template.Spec.Containers[0].Image = ptr.To[int32](3), "nginx:2"
	expect(t, validateStatefulSetUpdate(nil, scaled, good()))
	renamed := good()
	renamed.Spec.ServiceName = "other"
	expect(t, validateStatefulSetUpdate(nil, renamed, good()),
		"spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")
	bad := good()
	bad.Spec.PodManagementPolicy, bad.Spec.UpdateStrategy.Type = "Random", appsv1.OnDeleteStatefulSetStrategyType
	bad.Spec.UpdateStrategy.RollingUpdate = nil
	bad.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled = "Keep"
	expect(t, validateStatefulSet(nil, bad),
		`spec.podManagementPolicy: Invalid value: "Random": must be 'OrderedReady' or 'Parallel'`,
		`spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Delete", "Retain"`)
	if claim := good().Spec.VolumeClaimTemplates[0]; claim.Kind != "PersistentVolumeClaim" || claim.Status.Phase != corev1.ClaimPending {
		t.Errorf("claim template was not filled in: %+v", claim)
	}
}

// TestStatefulSetsPodsAreCheckedBeforeTheyAreMade, as those of other workloads; what older servers let in does not hold up other changes.
func TestStatefulSetsPodsAreCheckedBeforeTheyAreMade(t *testing.T) {
	t.Parallel()
	made := func(change func(*appsv1.StatefulSetSpec)) *appsv1.StatefulSet {
		s := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Selector: selecting("web"), Template: template(), ServiceName: "web"}}
		change(&s.Spec)
		defaultStatefulSet(s)
		return s
	}
	nameless := func(spec *appsv1.StatefulSetSpec) { spec.Template.Spec.Containers[0].Name = "" }
	claim := func(spec *appsv1.StatefulSetSpec) {
		spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	}
	const noName = "spec.template.spec.containers[0].name: Required value"
	expect(t, validateStatefulSet(nil, made(nameless)), noName)
	expect(t, validateStatefulSet(nil, made(claim)),
		"spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
		"spec.volumeClaimTemplates[0].spec.resources[storage]: Required value")
	expect(t, validateStatefulSet(nil, made(func(spec *appsv1.StatefulSetSpec) {
		spec.Template.Spec.Hostname, spec.Template.Spec.Subdomain = "-", "-" // the controller gives both
	})))
	expect(t, validateStatefulSetUpdate(nil, made(nameless), made(func(*appsv1.StatefulSetSpec) {})), noName)
	scaled := made(nameless)
	scaled.Spec.Replicas = ptr.To[int32](3)
	expect(t, validateStatefulSetUpdate(nil, scaled, made(nameless)))
	grown := made(claim)
	grown.Spec.Replicas = ptr.To[int32](3)
	expect(t, validateStatefulSetUpdate(nil, grown, made(claim)))
}

func TestDaemonSetsSurgeOrGiveWay(t *testing.T) {
	t.Parallel()
	good := func() *appsv1.DaemonSet {
		ds := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Selector: selecting("web"), Template: template()}}
		defaultDaemonSet(ds)
		return ds
	}
	expect(t, validateDaemonSet(nil, good()))
	both := good()
	both.Spec.UpdateStrategy.RollingUpdate.MaxSurge = ptr.To(intstr.FromInt32(1))
	expect(t, validateDaemonSet(nil, both), "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero")
	neither := good()
	neither.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(0))
	expect(t, validateDaemonSet(nil, neither), "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0")
}

func TestCountsFitTogether(t *testing.T) {
	t.Parallel()
	d := goodDeployment()
	d.Status = appsv1.DeploymentStatus{Replicas: 1, ReadyReplicas: 2, AvailableReplicas: 3}
	old := goodDeployment()
	old.Status.CollisionCount = ptr.To[int32](1)
	expect(t, validateDeploymentStatus(nil, d, old),
		"status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
		"status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
		"status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
		"status.collisionCount: Invalid value: 0: cannot be decremented")
}

func TestScaling(t *testing.T) {
	t.Parallel()
	d := goodDeployment()
	scale := scaleDeployments()
	scale.Set(d, 5)
	spec, status := scale.Get(d)
	if spec.Replicas != 5 || status.Selector != "app=web" {
		t.Errorf("got %+v %+v", spec, status)
	}
}

// A DaemonSet's annotation counts its templates, whatever is sent, and a status leaves it alone.
func TestTemplateGenerations(t *testing.T) {
	t.Parallel()
	kind := DaemonSets()
	set := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template()}}
	defaultDaemonSet(set)
	expectGeneration := func(set *appsv1.DaemonSet, want string) {
		t.Helper()
		if got := set.Annotations[appsv1.DeprecatedTemplateGeneration]; got != want {
			t.Errorf("template generation %q, want %q", got, want)
		}
	}
	expectGeneration(set, "0")
	kind.PrepareCreate(nil, set)
	expectGeneration(set, "1")
	same, changed := set.DeepCopy(), set.DeepCopy()
	same.Annotations = map[string]string{appsv1.DeprecatedTemplateGeneration: "77"}
	kind.PrepareUpdate(nil, same, set)
	expectGeneration(same, "1")
	changed.Spec.Template.Labels["v"] = "2"
	kind.PrepareUpdate(nil, changed, set)
	expectGeneration(changed, "2")
	same.Annotations = nil
	kind.Views[0].Prepare(nil, same, changed)
	expectGeneration(same, "2")
}

// maxUnavailable of a StatefulSet is dropped, but stays where it is stored.
func TestStatefulSetsHaveNoMaxUnavailable(t *testing.T) {
	t.Parallel()
	set := func() *appsv1.StatefulSet {
		s := &appsv1.StatefulSet{}
		s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: ptr.To(intstr.FromInt32(2))}
		return s
	}
	kind, made, kept := StatefulSets(), set(), set()
	kind.PrepareCreate(nil, made)
	if limitsUnavailable(made) {
		t.Error("created with maxUnavailable")
	}
	kind.PrepareUpdate(nil, kept, set())
	if !limitsUnavailable(kept) {
		t.Error("a stored maxUnavailable was dropped")
	}
}
