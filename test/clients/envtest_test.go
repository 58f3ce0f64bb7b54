package clients

import (
	"bytes"
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// TestEnvtestStartsAndStopsSeptet lets controller-runtime start, use, stop and start again what it takes for upstream's binaries.
func TestEnvtestStartsAndStopsSeptet(t *testing.T) {
	env := &envtest.Environment{}
	for range 2 {
		config, err := env.Start()
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(config, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var namespaces corev1.NamespaceList
		if err := c.List(t.Context(), &namespaces); err != nil {
			t.Fatal(err)
		}
		if err := env.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEnvtestPassesFlagsAndUsers starts the server with flags of a test's own, and lets users in whom envtest makes.
func TestEnvtestPassesFlagsAndUsers(t *testing.T) {
	var out bytes.Buffer
	env, _ := start(t, func(env *envtest.Environment) {
		api := env.ControlPlane.GetAPIServer()
		api.Configure().Append("disable-admission-plugins", "NamespaceLifecycle").Set("service-node-port-range", "31000-31010").
			Set("feature-gates", "AllAlpha=false").Set("runtime-config", "api/all=true").Set("max-requests-inflight", "100")
		api.Out, api.Err = &out, &out
	})
	user, err := env.AddUser(envtest.User{Name: "reader", Groups: []string{"readers"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(user.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var pods corev1.PodList
	if err := c.List(t.Context(), &pods); !apierrors.IsForbidden(err) {
		t.Errorf("a user without rights was answered with %v", err)
	}
	kubectl, err := user.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := kubectl.Run("auth", "can-i", "list", "pods")
	if text := read(stdout); err == nil || text != "no\n" {
		t.Errorf("kubectl auth can-i: %q %q %v", text, read(stderr), err)
	}
}

func read(r interface{ Read([]byte) (int, error) }) string {
	var b bytes.Buffer
	_, _ = b.ReadFrom(r) // what there is is compared
	return b.String()
}

// TestControllerRuntimeReconciles runs a controller of controller-runtime that labels ConfigMaps.
func TestControllerRuntimeReconciles(t *testing.T) {
	_, config := start(t)
	manager, err := ctrl.NewManager(config, ctrl.Options{Metrics: server.Options{BindAddress: "0"}, LeaderElection: true,
		LeaderElectionID: "labeller", LeaderElectionNamespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	c := manager.GetClient()
	err = ctrl.NewControllerManagedBy(manager).For(&corev1.ConfigMap{}).Complete(reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
		var found corev1.ConfigMap
		if err := c.Get(ctx, r.NamespacedName, &found); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		if found.Labels["seen"] == "yes" || r.Namespace != "default" {
			return reconcile.Result{}, nil
		}
		next := found.DeepCopy()
		next.Labels = map[string]string{"seen": "yes"}
		return reconcile.Result{}, c.Patch(ctx, next, client.MergeFrom(&found))
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	if err := c.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one"}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the ConfigMap is labelled", func() bool {
		var found corev1.ConfigMap
		err := c.Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "one"}, &found)
		return err == nil && found.Labels["seen"] == "yes"
	})
}

// until waits for something that must come true.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); {
		if time.Since(began) > patience {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
