package controllers_test

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers"
)

// TestEachControllerHasAnAccount: over TLS, as upstream's --use-service-account-credentials does it.
func TestEachControllerHasAnAccount(t *testing.T) {
	t.Parallel()
	c := start(t)
	ctx := context.Background()
	base, err := client.New(c.remote)
	c.must(err)
	as := controllers.Accounts(base, "test")
	set, err := as("deployment-controller")
	c.must(err)
	if again, _ := as("deployment-controller"); again != set {
		t.Error("a controller that is built again gets other clients")
	}
	_, err = set.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	c.must(err)
	_, err = set.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "system:serviceaccount:kube-system:deployment-controller") {
		t.Errorf("what a deployment-controller must not: %v", err)
	}
	_, err = c.CoreV1().ServiceAccounts("kube-system").Get(ctx, "deployment-controller", metav1.GetOptions{})
	c.must(err)
}
