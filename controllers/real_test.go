package controllers_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/pki"
	"github.com/septet-io/septet/reconcile"
	authority "github.com/septet-io/septet/resource"
)

// cluster is a real API server with all controllers on it, and a stand-in for scheduler and nodes.
type cluster struct {
	*client.Set
	t      *testing.T
	remote *rest.Config // of the controller manager, over TLS
	mu     sync.Mutex
	ends   map[string]corev1.PodPhase // by the image of the first container: phase that Pods end in; others run and are ready
}

// open makes a complete API server: with authorization by upstream's default roles, and with admission. It is not running yet.
// The second result is how the controller manager reaches it over TLS.
func open(t *testing.T, ctx context.Context) (*apiserver.Server, *rest.Config) {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	member, err := etcd.Start(ctx, etcd.Config{DataDir: filepath.Join(dir, "etcd"), UnsafeNoFsync: true})
	must(err)
	t.Cleanup(member.Stop)
	ca, err := pki.LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "test")
	must(err)
	serving, err := ca.TLS(pki.Leaf{CommonName: "kube-apiserver", Server: true, Hosts: []string{"127.0.0.1"}})
	must(err)
	private, public := filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.pub")
	must(pki.EnsureSigningKey(private, public))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	server, err := apiserver.Open(ctx, apiserver.Config{
		Etcd: member.Client(), EtcdRevision: member.Revision, EtcdDedicated: true, CompactEvery: -1, Listener: listener,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serving, nil },
	}, apiserver.Standard{
		Address: netip.MustParseAddr("127.0.0.1"), Port: 6443, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		ClientCAFile: filepath.Join(dir, "ca.crt"), Issuers: []string{"https://kubernetes.default.svc"},
		SigningKeyFile: private, KeyFiles: []string{public},
		DisablePlugins: []string{"StorageObjectInUseProtection"}, // who takes its finalizers away is not among these controllers
	})
	must(err)
	certificate, key, err := ca.Issue(pki.Leaf{CommonName: "system:kube-controller-manager", Client: true})
	must(err)
	der, err := x509.MarshalECPrivateKey(key)
	must(err)
	return server, &rest.Config{Host: "https://" + listener.Addr().String(), TLSClientConfig: rest.TLSClientConfig{
		CAData: ca.PEM, CertData: certificate, KeyData: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}}
}

func start(t *testing.T) *cluster {
	t.Helper()
	serving, stop := context.WithCancel(context.Background())
	server, remote := open(t, serving)
	var running sync.WaitGroup
	run := func(ctx context.Context, what string, f func(context.Context) error) {
		running.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	run(serving, "server", server.Run)
	run(serving, "bootstrap", server.Bootstrap)
	<-server.Bootstrapped()
	as := func(user string, groups ...string) (*client.Set, error) {
		return server.Loopback.As(server.Local(authority.User{Name: user, Groups: append(groups, "system:authenticated")}))
	}
	c := &cluster{t: t, remote: remote, ends: map[string]corev1.PodPhase{}}
	var err error
	c.Set, err = client.New(server.Local(authority.User{Name: "admin", Groups: []string{"system:masters", "system:authenticated"}}))
	c.must(err)
	ctx, cancel := context.WithCancel(serving)
	own, err := as("system:kube-controller-manager")
	c.must(err)
	config := controllers.Config{
		Clients: own, RootCA: []byte("the bundle"),
		Election: &reconcile.Election{Client: own, Namespace: "kube-system", Name: "kube-controller-manager", Identity: "test"},
		// Each works with no more rights than upstream's default roles give it.
		As: func(account string) (*client.Set, error) {
			return as("system:serviceaccount:kube-system:"+account, "system:serviceaccounts", "system:serviceaccounts:kube-system")
		},
	}
	run(ctx, "controllers", func(ctx context.Context) error { return controllers.Run(ctx, config) })
	c.runPods(ctx)
	t.Cleanup(func() {
		cancel()
		stop()
		running.Wait()
	})
	return c
}

// runPods does what scheduler and node agents do, as far as the API shows it.
func (c *cluster) runPods(ctx context.Context) {
	pods := c.Informers.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.run(ctx, obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { c.run(ctx, obj.(*corev1.Pod)) },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.Informers.Start(ctx.Done())
}

func (c *cluster) run(ctx context.Context, pod *corev1.Pod) {
	api := c.CoreV1().Pods(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		now := int64(0)
		_ = api.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
		return
	}
	if pod.Status.Phase != corev1.PodPending {
		return
	}
	c.mu.Lock()
	phase, ends := c.ends[pod.Spec.Containers[0].Image]
	c.mu.Unlock()
	pod = pod.DeepCopy()
	pod.Status.Phase = corev1.PodRunning
	ready := corev1.ConditionTrue
	if ends {
		pod.Status.Phase, ready = phase, corev1.ConditionFalse
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()}}
	_, _ = api.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
}

// eventually waits until holds returns "".
func (c *cluster) eventually(what string, holds func(context.Context) string) {
	c.t.Helper()
	wrong := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if wrong = holds(context.Background()); wrong == "" {
			return
		}
	}
	c.t.Fatalf("%s: still not: %s", what, wrong)
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func template(app, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
	}
}

func selector(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

// TestWorkloads runs one workload of each kind in a namespace of its own, changes some, and deletes the namespace.
//
// conformance: namespace-deletion-removes-pods
// conformance: Deployment RollingUpdate
// conformance: DaemonSet-RollingUpdate
// conformance: Garbage Collector, delete replication controller, propagation policy orphan
func TestWorkloads(t *testing.T) {
	t.Parallel()
	c := start(t)
	ctx := context.Background()
	_, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	c.must(err)
	c.eventually("the namespace is furnished", func(ctx context.Context) string {
		if _, err := c.CoreV1().ServiceAccounts("shop").Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		if _, err := c.CoreV1().ConfigMaps("shop").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
	t.Run("Deployment", func(t *testing.T) { c.deployment(ctx) })
	t.Run("StatefulSet", func(t *testing.T) { c.statefulSet(ctx) })
	t.Run("DaemonSet", func(t *testing.T) { c.daemonSet(ctx) })
	t.Run("Job", func(t *testing.T) { c.job(ctx) })
	t.Run("ReplicationController", func(t *testing.T) { c.replicationController(ctx) })
	c.must(c.CoreV1().Namespaces().Delete(ctx, "shop", metav1.DeleteOptions{}))
	c.eventually("the namespace is gone", func(ctx context.Context) string {
		ns, err := c.CoreV1().Namespaces().Get(ctx, "shop", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return ""
		}
		return fmt.Sprintf("%+v %v", ns.Status, err)
	})
}

func (c *cluster) deployment(ctx context.Context) {
	api := c.AppsV1().Deployments("shop")
	_, err := api.Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       appsv1.DeploymentSpec{Replicas: ptr.To[int32](3), Selector: selector("web"), Template: template("web", "web:1")},
	}, metav1.CreateOptions{})
	c.must(err)
	settled := func(revision string) {
		c.t.Helper()
		c.eventually("revision "+revision+" is rolled out", func(ctx context.Context) string {
			d, err := api.Get(ctx, "web", metav1.GetOptions{})
			c.must(err)
			s := d.Status
			if d.Annotations["deployment.kubernetes.io/revision"] == revision && s.ObservedGeneration == d.Generation &&
				s.UpdatedReplicas == 3 && s.Replicas == 3 && s.AvailableReplicas == 3 {
				return ""
			}
			return fmt.Sprintf("%v %+v", d.Annotations, s)
		})
	}
	settled("1")
	_, err = api.Patch(ctx, "web", "application/strategic-merge-patch+json",
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"web:2"}]}}}}`), metav1.PatchOptions{})
	c.must(err)
	settled("2")
	foreground := metav1.DeletePropagationForeground
	c.must(api.Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: &foreground}))
	c.eventually("the deployment and all below are gone", func(ctx context.Context) string {
		_, err := api.Get(ctx, "web", metav1.GetOptions{})
		pods, listErr := c.CoreV1().Pods("shop").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		c.must(listErr)
		if apierrors.IsNotFound(err) && len(pods.Items) == 0 {
			return ""
		}
		return fmt.Sprintf("%v, %d pods", err, len(pods.Items))
	})
}

func (c *cluster) statefulSet(ctx context.Context) {
	api := c.AppsV1().StatefulSets("shop")
	_, err := api.Create(ctx, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To[int32](2), Selector: selector("db"), Template: template("db", "db:1"), ServiceName: "db",
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenScaled: appsv1.DeletePersistentVolumeClaimRetentionPolicyType, WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
				},
			}},
		},
	}, metav1.CreateOptions{})
	c.must(err)
	settled := func(replicas int32, image string) {
		c.t.Helper()
		c.eventually("the set is at "+image, func(ctx context.Context) string {
			set, err := api.Get(ctx, "db", metav1.GetOptions{})
			c.must(err)
			s := set.Status
			if s.ObservedGeneration != set.Generation || s.Replicas != replicas || s.AvailableReplicas != replicas || s.CurrentRevision != s.UpdateRevision {
				return fmt.Sprintf("%+v", s)
			}
			pod, err := c.CoreV1().Pods("shop").Get(ctx, "db-0", metav1.GetOptions{})
			c.must(err)
			if pod.Spec.Containers[0].Image != image {
				return "db-0 runs " + pod.Spec.Containers[0].Image
			}
			return ""
		})
	}
	settled(2, "db:1")
	_, err = api.Patch(ctx, "db", "application/strategic-merge-patch+json",
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"db:2"}]}}}}`), metav1.PatchOptions{})
	c.must(err)
	settled(2, "db:2")
	_, err = api.Patch(ctx, "db", "application/merge-patch+json", []byte(`{"spec":{"replicas":1}}`), metav1.PatchOptions{})
	c.must(err)
	settled(1, "db:2")
	c.eventually("the claim of the Pod that it was scaled down by is deleted", func(ctx context.Context) string {
		claim, err := c.CoreV1().PersistentVolumeClaims("shop").Get(ctx, "data-db-1", metav1.GetOptions{})
		if apierrors.IsNotFound(err) || (err == nil && claim.DeletionTimestamp != nil) {
			return ""
		}
		return fmt.Sprintf("%v %v", claim.OwnerReferences, err)
	})
}

func (c *cluster) daemonSet(ctx context.Context) {
	for i := range 3 {
		node, err := c.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i)}}, metav1.CreateOptions{})
		c.must(err)
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}}
		_, err = c.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		c.must(err)
	}
	_, err := c.AppsV1().DaemonSets("shop").Create(ctx, &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "logs"},
		Spec:       appsv1.DaemonSetSpec{Selector: selector("logs"), Template: template("logs", "logs:1")},
	}, metav1.CreateOptions{})
	c.must(err)
	settled := func(image string) {
		c.t.Helper()
		c.eventually("every node has "+image, func(ctx context.Context) string {
			set, err := c.AppsV1().DaemonSets("shop").Get(ctx, "logs", metav1.GetOptions{})
			c.must(err)
			if s := set.Status; s.ObservedGeneration != set.Generation || s.NumberReady != 3 || s.UpdatedNumberScheduled != 3 || s.DesiredNumberScheduled != 3 {
				return fmt.Sprintf("%+v", s)
			}
			return ""
		})
	}
	settled("logs:1")
	_, err = c.AppsV1().DaemonSets("shop").Patch(ctx, "logs", "application/strategic-merge-patch+json",
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"logs:2"}]}}}}`), metav1.PatchOptions{})
	c.must(err)
	settled("logs:2")
}

func (c *cluster) job(ctx context.Context) {
	c.mu.Lock()
	c.ends["task:1"] = corev1.PodSucceeded
	c.mu.Unlock()
	spec := batchv1.JobSpec{
		Completions: ptr.To[int32](3), Parallelism: ptr.To[int32](2), CompletionMode: ptr.To(batchv1.IndexedCompletion),
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "task:1"}},
		}},
	}
	_, err := c.BatchV1().Jobs("shop").Create(ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "task"}, Spec: spec}, metav1.CreateOptions{})
	c.must(err)
	c.eventually("the job completes", func(ctx context.Context) string {
		job, err := c.BatchV1().Jobs("shop").Get(ctx, "task", metav1.GetOptions{})
		c.must(err)
		if job.Status.CompletionTime == nil || job.Status.Succeeded != 3 || job.Status.CompletedIndexes != "0-2" {
			return fmt.Sprintf("%+v", job.Status)
		}
		return ""
	})
}

func (c *cluster) replicationController(ctx context.Context) {
	pod := template("old", "old:1")
	_, err := c.CoreV1().ReplicationControllers("shop").Create(ctx, &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: "old"},
		Spec:       corev1.ReplicationControllerSpec{Replicas: ptr.To[int32](2), Selector: map[string]string{"app": "old"}, Template: &pod},
	}, metav1.CreateOptions{})
	c.must(err)
	c.eventually("the replication controller has its pods", func(ctx context.Context) string {
		rc, err := c.CoreV1().ReplicationControllers("shop").Get(ctx, "old", metav1.GetOptions{})
		c.must(err)
		if rc.Status.ReadyReplicas != 2 || rc.Status.ObservedGeneration != rc.Generation {
			return fmt.Sprintf("%+v", rc.Status)
		}
		return ""
	})
	orphan := metav1.DeletePropagationOrphan
	c.must(c.CoreV1().ReplicationControllers("shop").Delete(ctx, "old", metav1.DeleteOptions{PropagationPolicy: &orphan}))
	c.eventually("its pods are orphans", func(ctx context.Context) string {
		_, err := c.CoreV1().ReplicationControllers("shop").Get(ctx, "old", metav1.GetOptions{})
		pods, listErr := c.CoreV1().Pods("shop").List(ctx, metav1.ListOptions{LabelSelector: "app=old"})
		c.must(listErr)
		if !apierrors.IsNotFound(err) || len(pods.Items) != 2 {
			return fmt.Sprintf("%v, %d pods", err, len(pods.Items))
		}
		for _, pod := range pods.Items {
			if len(pod.OwnerReferences) > 0 {
				return fmt.Sprintf("%v", pod.OwnerReferences)
			}
		}
		return ""
	})
}
