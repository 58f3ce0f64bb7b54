package clients

import (
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

// TestHelmChartComesChangesAndGoes installs, upgrades, rolls back and uninstalls a chart with Helm's own library.
func TestHelmChartComesChangesAndGoes(t *testing.T) {
	_, config := start(t)
	helm := newHelm(t, config)
	set := kubernetes.NewForConfigOrDie(config)
	chart, err := loader.Load("testdata/chart")
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(helm)
	install.ReleaseName, install.Namespace, install.CreateNamespace = "shop", "shop", true
	installed, err := install.RunWithContext(t.Context(), chart, map[string]any{"replicas": 2})
	if err != nil || installed.Info.Status != release.StatusDeployed {
		t.Fatalf("install: %+v %v", installed, err)
	}
	replicas := func() int32 {
		found, err := set.AppsV1().Deployments("shop").Get(t.Context(), "shop-web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return ptr.Deref(found.Spec.Replicas, -1)
	}
	if got := replicas(); got != 2 {
		t.Errorf("%d replicas after the installation", got)
	}
	upgrade := action.NewUpgrade(helm)
	upgrade.Namespace = "shop"
	if _, err := upgrade.RunWithContext(t.Context(), "shop", chart, map[string]any{"replicas": 5}); err != nil {
		t.Fatal(err)
	}
	if got := replicas(); got != 5 {
		t.Errorf("%d replicas after the upgrade", got)
	}
	if err := action.NewRollback(helm).Run("shop"); err != nil {
		t.Fatal(err)
	}
	if got := replicas(); got != 2 {
		t.Errorf("%d replicas after the rollback", got)
	}
	history, err := action.NewHistory(helm).Run("shop")
	if err != nil || len(history) != 3 {
		t.Errorf("history: %d %v", len(history), err)
	}
	if _, err := action.NewUninstall(helm).Run("shop"); err != nil {
		t.Fatal(err)
	}
	left, err := set.AppsV1().Deployments("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 0 {
		t.Errorf("%d Deployments are left: %v", len(left.Items), err)
	}
}

// newHelm is Helm with releases kept as Secrets, as the command line has it.
func newHelm(t *testing.T, config *rest.Config) *action.Configuration {
	t.Helper()
	flags := genericclioptions.NewConfigFlags(false).WithWrapConfigFn(func(*rest.Config) *rest.Config { return rest.CopyConfig(config) })
	flags.Namespace = ptr.To("shop")
	helm := &action.Configuration{}
	if err := helm.Init(flags, "shop", "secret", t.Logf); err != nil {
		t.Fatal(err)
	}
	return helm
}
