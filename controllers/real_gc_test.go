package controllers_test

import (
	"context"
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// config makes a ConfigMap with owners, whose names and UIDs are those of other ConfigMaps.
func (c *cluster) config(name string, owners ...*corev1.ConfigMap) *corev1.ConfigMap {
	c.t.Helper()
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, owner := range owners {
		config.OwnerReferences = append(config.OwnerReferences, ownerOf(owner))
	}
	made, err := c.CoreV1().ConfigMaps("default").Create(context.Background(), config, metav1.CreateOptions{})
	c.must(err)
	return made
}

func ownerOf(config *corev1.ConfigMap) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: config.Name, UID: config.UID, BlockOwnerDeletion: ptr.To(true)}
}

func (c *cluster) delete(name string, policy metav1.DeletionPropagation) {
	c.t.Helper()
	c.must(c.CoreV1().ConfigMaps("default").Delete(context.Background(), name, metav1.DeleteOptions{PropagationPolicy: &policy}))
}

func (c *cluster) gone(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.eventually(name+" is gone", func(ctx context.Context) string {
			config, err := c.CoreV1().ConfigMaps("default").Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return ""
			}
			return fmt.Sprintf("%+v %v", config.ObjectMeta, err)
		})
	}
}

func (c *cluster) owners(name string, want int) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%s has %d owners", name, want), func(ctx context.Context) string {
		config, err := c.CoreV1().ConfigMaps("default").Get(ctx, name, metav1.GetOptions{})
		if err != nil || len(config.OwnerReferences) != want {
			return fmt.Sprintf("%v %v", config.OwnerReferences, err)
		}
		return ""
	})
}

// TestGarbage deletes owners in all ways.
//
// conformance: Garbage Collector, dependency cycle
// conformance: Garbage Collector, multiple owners
func TestGarbage(t *testing.T) {
	t.Parallel()
	c := start(t)
	owner := c.config("owner")
	child := c.config("child", owner)
	c.config("grandchild", child)
	c.delete("owner", metav1.DeletePropagationBackground)
	c.gone("owner", "child", "grandchild")

	owner = c.config("front")
	c.config("front-child", owner)
	c.delete("front", metav1.DeletePropagationForeground)
	c.gone("front-child", "front")

	one, two := c.config("one"), c.config("two")
	c.config("shared", one, two)
	c.delete("one", metav1.DeletePropagationForeground)
	c.gone("one")
	c.owners("shared", 1)
	c.delete("two", metav1.DeletePropagationOrphan)
	c.gone("two")
	c.owners("shared", 0)

	a := c.config("circle-a")
	b := c.config("circle-b", a)
	a.OwnerReferences = []metav1.OwnerReference{ownerOf(b)}
	_, err := c.CoreV1().ConfigMaps("default").Update(context.Background(), a, metav1.UpdateOptions{})
	c.must(err)
	c.owners("circle-a", 1)
	c.delete("circle-a", metav1.DeletePropagationForeground)
	c.gone("circle-a", "circle-b")

	c.config("lost", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "never-was", UID: "00000000-0000-0000-0000-000000000000"}})
	c.gone("lost")
}

// TestSmallControllers lets those act that have little to do.
//
// conformance: PodDisruptionBudget: Status updates
func TestSmallControllers(t *testing.T) {
	t.Parallel()
	c := start(t)
	ctx := context.Background()
	c.mu.Lock()
	c.ends["task:1"] = corev1.PodSucceeded
	c.mu.Unlock()

	_, err := c.PolicyV1().PodDisruptionBudgets("default").Create(ctx, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: selector("web"), MinAvailable: ptr.To(intstr.FromInt32(1))},
	}, metav1.CreateOptions{})
	c.must(err)
	c.eventually("pods may be created in the namespace", func(ctx context.Context) string {
		if _, err := c.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
	for i := range 2 {
		pod := template("web", "web:1")
		_, err := c.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("web-", i), Labels: pod.Labels}, Spec: pod.Spec,
		}, metav1.CreateOptions{})
		c.must(err)
	}
	c.eventually("one of two may be evicted", func(ctx context.Context) string {
		budget, err := c.PolicyV1().PodDisruptionBudgets("default").Get(ctx, "web", metav1.GetOptions{})
		c.must(err)
		if s := budget.Status; s.DisruptionsAllowed != 1 || s.CurrentHealthy != 2 || s.DesiredHealthy != 1 || s.ExpectedPods != 2 {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})

	task := batchv1.JobSpec{TTLSecondsAfterFinished: ptr.To[int32](0), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "task:1"}},
	}}}
	_, err = c.BatchV1().Jobs("default").Create(ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "brief"}, Spec: task}, metav1.CreateOptions{})
	c.must(err)
	c.eventually("a finished job goes with its time to live, and its pods with it", func(ctx context.Context) string {
		_, err := c.BatchV1().Jobs("default").Get(ctx, "brief", metav1.GetOptions{})
		pods, listErr := c.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=brief"})
		c.must(listErr)
		if !apierrors.IsNotFound(err) || len(pods.Items) > 0 {
			return fmt.Sprintf("%v, %d pods", err, len(pods.Items))
		}
		return ""
	})
}
