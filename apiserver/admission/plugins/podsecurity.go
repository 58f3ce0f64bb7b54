package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/resource/core"
)

const (
	enforcePolicyKey = api.AuditAnnotationPrefix + api.EnforcedPolicyAnnotationKey
	violationsKey    = api.AuditAnnotationPrefix + api.AuditViolationsAnnotationKey
)

// podSecurity holds Pods to the Pod Security Standards that the labels of their namespace name.
// https://kubernetes.io/docs/concepts/security/pod-security-admission/
func podSecurity(env *Env) (admission.Plugin, error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return admission.Plugin{}, err
	}
	objects := env.Set.Informers.Core().V1()
	s := &security{env: env, evaluator: evaluator, namespaces: objects.Namespaces().Lister(), pods: objects.Pods().Lister()}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Validate: s.validate}, s.configure(env)
}

type security struct {
	env        *Env
	config     securityConfig
	defaults   api.Policy
	evaluator  policy.Evaluator
	namespaces listers.NamespaceLister
	pods       listers.PodLister
}

// unlabelled is what holds where a namespace says nothing: everything is allowed.
var unlabelled = api.Policy{
	Enforce: api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()},
	Audit:   api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()},
	Warn:    api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()},
}

func (s *security) validate(ctx context.Context, a *admission.Attributes) error {
	if namespace, ok := a.Object.(*corev1.Namespace); ok && is(a, "", "namespaces", "") {
		return s.namespace(a, namespace)
	}
	pod, isPod := a.Object.(*corev1.Pod)
	if isPod {
		if !is(a, "", "pods", "") && !is(a, "", "pods", "ephemeralcontainers") || a.Operation == admission.Update && !significant(pod, a.OldObject) {
			return nil
		}
		return s.check(ctx, a, &pod.ObjectMeta, &pod.Spec, true)
	}
	if template := core.TemplateOf(a.Object); template != nil && a.Subresource == "" {
		return s.check(ctx, a, &template.ObjectMeta, &template.Spec, false)
	}
	return nil
}

// check refuses a Pod that its namespace does not allow, and warns of what it warns of. Templates are never refused: the
// Pods made of them will be.
func (s *security) check(ctx context.Context, a *admission.Attributes, meta *metav1.ObjectMeta, spec *corev1.PodSpec, enforce bool) error {
	if why := s.exempt(a, spec); why != "" {
		a.AddAnnotation(api.AuditAnnotationPrefix+"exempt", why)
		return nil
	}
	namespace, err := s.namespaces.Get(a.Namespace)
	if apierrors.IsNotFound(err) {
		namespace, err = s.env.Set.CoreV1().Namespaces().Get(ctx, a.Namespace, metav1.GetOptions{})
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to lookup namespace %q: %w", a.Namespace, err))
	}
	wanted, errs := api.PolicyToEvaluate(namespace.Labels, s.defaults)
	if len(errs) == 0 && wanted.FullyPrivileged() {
		return nil
	}
	if len(errs) > 0 {
		a.AddAnnotation(api.AuditAnnotationPrefix+"error", fmt.Sprintf("Failed to parse policy: %v", errs.ToAggregate()))
	}
	refused := ""
	if enforce {
		a.AddAnnotation(enforcePolicyKey, wanted.Enforce.String())
		refused = s.violates(wanted.Enforce, meta, spec)
	}
	if text := s.violates(wanted.Audit, meta, spec); text != "" {
		a.AddAnnotation(violationsKey, "would "+strings.Replace(text, "violates", "violate", 1))
	}
	if refused != "" {
		return forbidden(a, errors.New(refused)) // what is refused needs no warning
	}
	if text := s.violates(wanted.Warn, meta, spec); text != "" {
		a.AddWarning("would " + strings.Replace(text, "violates", "violate", 1))
	}
	return nil
}

// violates says in which way a Pod violates a level; "" if it does not.
func (s *security) violates(level api.LevelVersion, meta *metav1.ObjectMeta, spec *corev1.PodSpec) string {
	result := policy.AggregateCheckResults(s.evaluator.EvaluatePod(level, meta, spec))
	if result.Allowed {
		return ""
	}
	return fmt.Sprintf("violates PodSecurity %q: %s", level.String(), result.ForbiddenDetail())
}

// significant changes are those that may make a Pod violate what it did not before: other changes, such as of finalizers, must
// stay possible for Pods that are older than their namespace's labels.
func significant(pod *corev1.Pod, old any) bool {
	before, ok := old.(*corev1.Pod)
	if !ok {
		return true
	}
	if !slices.Equal(images(&pod.Spec), images(&before.Spec)) || len(pod.Spec.EphemeralContainers) != len(before.Spec.EphemeralContainers) {
		return true
	}
	return !sameProfiles(pod.Annotations, before.Annotations) || !sameProfiles(before.Annotations, pod.Annotations)
}

// images are those of all containers but ephemeral ones, in order.
func images(spec *corev1.PodSpec) []string {
	var all []string
	for i := range spec.Containers {
		all = append(all, spec.Containers[i].Image)
	}
	for i := range spec.InitContainers {
		all = append(all, spec.InitContainers[i].Image)
	}
	return all
}

// sameProfiles says whether the AppArmor and seccomp profiles in one set of annotations are in the other.
func sameProfiles(annotations, other map[string]string) bool {
	for key, value := range annotations {
		profile := strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) ||
			key == corev1.SeccompPodAnnotationKey || strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix)
		if profile && other[key] != value {
			return false
		}
	}
	return true
}

// namespace refuses labels that say nothing, and warns of Pods that are there and would not be let in any more.
func (s *security) namespace(a *admission.Attributes, namespace *corev1.Namespace) error {
	wanted, errs := api.PolicyToEvaluate(namespace.Labels, s.defaults)
	before, updating := a.OldObject.(*corev1.Namespace)
	if !updating {
		if len(errs) > 0 {
			return apierrors.NewInvalid(a.Kind.GroupKind(), namespace.Name, errs)
		}
		return nil
	}
	had, oldErrs := api.PolicyToEvaluate(before.Labels, s.defaults)
	if len(errs) > 0 {
		if len(oldErrs) == 0 {
			return apierrors.NewInvalid(a.Kind.GroupKind(), namespace.Name, errs)
		}
		return nil // it was wrong before: who changes something else need not put it right
	}
	if wanted.Enforce.Equivalent(&had.Enforce) || wanted.Enforce.Level == api.LevelPrivileged ||
		wanted.Enforce.Version == had.Enforce.Version && api.CompareLevels(wanted.Enforce.Level, had.Enforce.Level) < 1 {
		return nil
	}
	pods, err := s.pods.Pods(namespace.Name).List(labels.Everything())
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if warnings := s.existing(wanted.Enforce, pods); len(warnings) > 0 {
		a.AddWarning(fmt.Sprintf("existing pods in namespace %q violate the new PodSecurity enforce level %q", namespace.Name, wanted.Enforce.String()))
		for _, text := range warnings {
			a.AddWarning(text)
		}
	}
	return nil
}

// mostPods is how many Pods of a namespace are looked at, as upstream.
const mostPods = 3000

// existing returns a line for each way in which Pods violate a level, with the first of those Pods by name.
func (s *security) existing(level api.LevelVersion, pods []*corev1.Pod) []string {
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	type group struct {
		first, reason string
		more          int
	}
	var groups []*group
	for _, pod := range pods[:min(len(pods), mostPods)] {
		result := policy.AggregateCheckResults(s.evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
		if result.Allowed {
			continue
		}
		reason := result.ForbiddenReason()
		if i := slices.IndexFunc(groups, func(g *group) bool { return g.reason == reason }); i >= 0 {
			groups[i].more++
		} else {
			groups = append(groups, &group{first: pod.Name, reason: reason})
		}
	}
	var lines []string
	for _, g := range groups {
		switch g.more {
		case 0:
			lines = append(lines, fmt.Sprintf("%s: %s", g.first, g.reason))
		case 1:
			lines = append(lines, fmt.Sprintf("%s (and 1 other pod): %s", g.first, g.reason))
		default:
			lines = append(lines, fmt.Sprintf("%s (and %d other pods): %s", g.first, g.more, g.reason))
		}
	}
	return lines
}
