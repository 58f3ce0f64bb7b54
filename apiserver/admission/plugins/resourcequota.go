package plugins

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	listers "k8s.io/client-go/listers/core/v1"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/quota"
)

// chargeAttempts is how often a quota is read anew when somebody else has written it.
const chargeAttempts = 5

// resourceQuota charges new objects to the quotas of their namespace, and refuses those that do not fit. It is the last
// plug-in, since what is charged must not be refused afterwards; if it is all the same, the quota controller finds out.
func resourceQuota(env *Env) (admission.Plugin, error) {
	limited, err := limitedResources(env.Config)
	if err != nil {
		return admission.Plugin{}, err
	}
	q := &quotas{env: env, limited: limited, lister: env.Set.Informers.Core().V1().ResourceQuotas().Lister(), written: map[string]*corev1.ResourceQuota{}}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Validate: q.validate}, nil
}

type quotas struct {
	env     *Env
	limited []limitedResource // what may be consumed only under a quota
	lister  listers.ResourceQuotaLister

	// turns lets those who write to one namespace charge one after the other: together they would only conflict.
	turns [64]sync.Mutex

	mu sync.Mutex
	// written are quotas as they were charged last, until the informer has them: namespace/name to quota.
	written map[string]*corev1.ResourceQuota
}

func (q *quotas) validate(ctx context.Context, a *admission.Attributes) error {
	if a.Scope != resource.Namespaced || a.Namespace == "" || a.Object == nil || !chargeable(a) {
		return nil
	}
	all, err := q.lister.ResourceQuotas(a.Namespace).List(labels.Everything())
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if len(all) == 0 && len(q.limited) == 0 {
		return nil
	}
	usage := quota.Usage(groupResource(a), a.Object, time.Now())
	delta := usage
	if a.Operation == admission.Update {
		delta = quota.Increase(usage, quota.Usage(groupResource(a), a.OldObject, time.Now()))
	}
	if a.Operation == admission.Update && len(delta) == 0 {
		return nil
	}
	if len(q.limited) > 0 {
		if err := covered(a, q.limited, all, usage); err != nil {
			return err
		}
	}
	turn := &q.turns[hash(a.Namespace)%uint32(len(q.turns))]
	if !a.DryRun {
		turn.Lock()
		defer turn.Unlock()
	}
	return q.charge(ctx, a, all, delta)
}

// chargeable requests are those that make an object, and those that may make a Pod, Service or claim use more.
func chargeable(a *admission.Attributes) bool {
	if a.Operation == admission.Create {
		return a.Subresource == ""
	}
	return is(a, "", "pods", "") || is(a, "", "pods", "resize") || is(a, "", "services", "") || is(a, "", "persistentvolumeclaims", "")
}

// hash spreads namespaces over the turns (FNV-1a).
func hash(text string) uint32 {
	h := uint32(2166136261)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return h
}

// charge checks all quotas first, so that nothing is charged for what another of them refuses.
func (q *quotas) charge(ctx context.Context, a *admission.Attributes, all []*corev1.ResourceQuota, delta corev1.ResourceList) error {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *corev1.ResourceQuota) int { return strings.Compare(a.Name, b.Name) })
	var due []*corev1.ResourceQuota
	for _, cached := range all {
		newest, err := q.newest(ctx, cached)
		if err != nil {
			return err
		}
		charged, err := check(a, newest, delta)
		if err != nil {
			return err
		}
		if charged != nil {
			due = append(due, charged)
		}
	}
	if a.DryRun {
		return nil
	}
	for _, charged := range due {
		if err := q.write(ctx, a, charged, delta); err != nil {
			return err
		}
	}
	return nil
}

// check returns a quota with delta charged to it, nil if it has nothing to do with it, or why it refuses.
func check(a *admission.Attributes, q *corev1.ResourceQuota, delta corev1.ResourceList) (*corev1.ResourceQuota, error) {
	refuse := func(format string, args ...any) error { return forbidden(a, fmt.Errorf(format, args...)) }
	limited := quota.Only(delta, q.Status.Hard)
	pod, isPod := a.Object.(*corev1.Pod)
	if !quota.Matches(q, a.Object) || len(limited) == 0 && !isPod {
		return nil, nil
	}
	if isPod {
		if err := quota.Missing(q.Status.Hard, pod); err != nil {
			return nil, refuse("failed quota: %s: %w", q.Name, err)
		}
	}
	var unknown []corev1.ResourceName
	for _, name := range quota.Names(limited) {
		if _, known := q.Status.Used[name]; !known {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, refuse("status unknown for quota: %s, resources: %s", q.Name, joinNames(unknown))
	}
	used := corev1.ResourceList{}
	quota.Add(used, q.Status.Used)
	quota.Add(used, limited)
	if over := quota.Exceeded(quota.Only(used, limited), q.Status.Hard); len(over) > 0 {
		return nil, refuse("exceeded quota: %s, requested: %s, used: %s, limited: %s",
			q.Name, quota.Print(limited, over), quota.Print(q.Status.Used, over), quota.Print(q.Status.Hard, over))
	}
	if equality.Semantic.DeepEqual(used, q.Status.Used) {
		return nil, nil
	}
	charged := q.DeepCopy()
	charged.Status.Used = used
	return charged, nil
}

// write stores a charged quota. If it has changed meanwhile it is read, checked and charged anew.
func (q *quotas) write(ctx context.Context, a *admission.Attributes, charged *corev1.ResourceQuota, delta corev1.ResourceList) error {
	client := q.env.Set.CoreV1().ResourceQuotas(a.Namespace)
	for attempt := 1; ; attempt++ {
		written, err := client.UpdateStatus(ctx, charged, metav1.UpdateOptions{})
		if err == nil {
			q.keep(written)
			return nil
		}
		if apierrors.IsNotFound(err) {
			return nil // a quota that is no more limits nothing
		}
		if !apierrors.IsConflict(err) || attempt == chargeAttempts {
			return err
		}
		fresh, err := client.Get(ctx, charged.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if charged, err = check(a, fresh, delta); err != nil || charged == nil {
			return err
		}
	}
}

// newest returns a quota as it was written last, which the informer may not know yet. One that limits nothing so far, as its
// controller has not counted yet, is read anew: whoever has seen it counted relies on it.
func (q *quotas) newest(ctx context.Context, cached *corev1.ResourceQuota) (*corev1.ResourceQuota, error) {
	if written := q.charged(cached); written != nil {
		return written, nil
	}
	if equality.Semantic.DeepEqual(cached.Spec.Hard, cached.Status.Hard) {
		return cached, nil
	}
	fresh, err := q.env.Set.CoreV1().ResourceQuotas(cached.Namespace).Get(ctx, cached.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return cached, nil // it goes, and charging it finds that out
	}
	return fresh, err
}

// charged returns a quota as it was charged last; nil if the informer knows of that.
func (q *quotas) charged(cached *corev1.ResourceQuota) *corev1.ResourceQuota {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := cached.Namespace + "/" + cached.Name
	written, found := q.written[key]
	if found && (written.UID != cached.UID || version(written) <= version(cached)) {
		delete(q.written, key)
		return nil
	}
	return written
}

func (q *quotas) keep(written *corev1.ResourceQuota) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written[written.Namespace+"/"+written.Name] = written
}

// version is 0 where there is none, as in a fake API: the informer is right then.
func version(q *corev1.ResourceQuota) uint64 {
	n, err := strconv.ParseUint(q.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func joinNames(names []corev1.ResourceName) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ",")
}
