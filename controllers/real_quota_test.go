package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource/quota"
)

// TestQuotas hold against writers that come all at once, and are given back by what is deleted.
func TestQuotas(t *testing.T) {
	t.Parallel()
	c, ctx := start(t), context.Background()
	hard := corev1.ResourceList{}
	for name, amount := range map[corev1.ResourceName]string{"pods": "3", "requests.cpu": "1", "count/deployments.apps": "2", "secrets": "2"} {
		hard[name] = resource.MustParse(amount)
	}
	_, err := c.CoreV1().ResourceQuotas("default").Create(ctx, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}, metav1.CreateOptions{})
	c.must(err)
	used := func(want string) {
		t.Helper()
		c.eventually("used "+want, func(ctx context.Context) string {
			q, err := c.CoreV1().ResourceQuotas("default").Get(ctx, "q", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if got := quota.Print(q.Status.Used, quota.Names(q.Status.Used)); got != want {
				return "used " + got
			}
			return ""
		})
	}
	used("count/deployments.apps=0,pods=0,requests.cpu=0,secrets=0")

	const writers = 12
	outcomes := make([]error, writers)
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i)}, Spec: template("p", "example.com/p").Spec}
			pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("100m")}
			_, outcomes[i] = c.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{})
		})
	}
	writing.Wait()
	made := ""
	n := 0
	for i, err := range outcomes {
		switch {
		case err == nil:
			made, n = fmt.Sprintf("p%d", i), n+1
		case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3"):
			t.Errorf("%d: %v", i, err)
		}
	}
	if n != 3 {
		t.Fatalf("%d pods got in: %v", n, errors.Join(outcomes...))
	}
	used("count/deployments.apps=0,pods=3,requests.cpu=300m,secrets=0")
	now := int64(0)
	c.must(c.CoreV1().Pods("default").Delete(ctx, made, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	used("count/deployments.apps=0,pods=2,requests.cpu=200m,secrets=0")

	silent := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "silent"}, Spec: template("p", "example.com/p").Spec}
	_, err = c.CoreV1().Pods("default").Create(ctx, silent, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "failed quota: q: must specify requests.cpu for: ") {
		t.Errorf("a pod that does not say what it needs: %v", err)
	}
	_, err = c.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{})
	c.must(err)
	used("count/deployments.apps=0,pods=2,requests.cpu=200m,secrets=1")
	c.must(c.CoreV1().Secrets("default").Delete(ctx, "s", metav1.DeleteOptions{}))
	used("count/deployments.apps=0,pods=2,requests.cpu=200m,secrets=0")
}

// TestAdminGathersWhatOthersGrant by aggregation.
func TestAdminGathersWhatOthersGrant(t *testing.T) {
	t.Parallel()
	c, ctx := start(t), context.Background()
	_, err := c.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"example.com"}, Resources: []string{"widgets"}}},
	}, metav1.CreateOptions{})
	c.must(err)
	for _, name := range []string{"view", "edit", "admin"} { // admin gathers edit, which gathers view
		c.eventually(name+" may see widgets", func(ctx context.Context) string {
			role, err := c.RbacV1().ClusterRoles().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			for _, rule := range role.Rules {
				if rule.APIGroups[0] == "example.com" {
					return ""
				}
			}
			return fmt.Sprintf("%d rules", len(role.Rules))
		})
	}
}
