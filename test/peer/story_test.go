package peer_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/septet-io/septet/client"
)

// world is a cluster as its administrator sees it.
type world struct {
	*client.Set
	any dynamic.Interface
	t   *testing.T
	ctx context.Context
}

// tell is what controllers must do on any server: make what objects ask for, count it, sign, and clean up. log is shown if it fails.
func tell(t *testing.T, set *client.Set, log func() string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log())
		}
	})
	any, err := dynamic.NewForConfig(set.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	w := &world{Set: set, any: any, t: t, ctx: ctx}
	w.apply("testdata/controllers.yaml")
	w.ready("n1")
	go w.play()
	w.request("jane")
	w.made()
	w.gone()
}

// made is what comes of the objects.
func (w *world) made() {
	w.shows("Deployment web", "apps/v1", "deployments", "story", "web", func(o obj) bool { return o.number("status", "availableReplicas") == 2 })
	w.shows("StatefulSet db", "apps/v1", "statefulsets", "story", "db", func(o obj) bool { return o.number("status", "readyReplicas") == 1 })
	w.shows("claim of db", "v1", "persistentvolumeclaims", "story", "d-db-0", func(o obj) bool { return o.text("status", "phase") == "Bound" })
	w.shows("DaemonSet agent", "apps/v1", "daemonsets", "story", "agent", func(o obj) bool { return o.number("status", "numberReady") == 1 })
	w.shows("Job once", "batch/v1", "jobs", "story", "once", func(o obj) bool { return o.number("status", "succeeded") == 2 && o.condition("Complete") })
	w.shows("budget", "policy/v1", "poddisruptionbudgets", "story", "web", func(o obj) bool { return o.number("status", "disruptionsAllowed") == 1 })
	w.shows("quota", "v1", "resourcequotas", "story", "quota", func(o obj) bool { return o.text("status", "used", "count/deployments.apps") == "1" })
	w.shows("aggregated role", "rbac.authorization.k8s.io/v1", "clusterroles", "", "whole", func(o obj) bool { return len(o.list("rules")) == 1 })
	w.shows("certificate", "certificates.k8s.io/v1", "certificatesigningrequests", "", "jane", func(o obj) bool { return o.text("status", "certificate") != "" })
	w.shows("signed cluster-info", "v1", "configmaps", "kube-public", "cluster-info", func(o obj) bool { return o.text("data", "jws-kubeconfig-abcdef") != "" })
	w.shows("default account", "v1", "serviceaccounts", "story", "default", func(obj) bool { return true })
	w.shows("authority", "v1", "configmaps", "story", "kube-root-ca.crt", func(obj) bool { return true })
	w.shows("token", "v1", "secrets", "story", "robot", func(o obj) bool { return o.text("data", "token") != "" && o.text("data", "ca.crt") != "" })
	w.shows("range of the node", "v1", "nodes", "", "n1", func(o obj) bool { return o.text("spec", "podCIDR") == "10.244.0.0/24" })
	w.shows("type check", "admissionregistration.k8s.io/v1", "validatingadmissionpolicies", "", "typo", func(o obj) bool {
		return strings.Contains(fmt.Sprint(o.list("status", "typeChecking", "expressionWarnings")), "apps/v1, Kind=Deployment: ERROR: <input>:1:37: undefined field 'nosuch'")
	})
	w.eventually("slice of web", func() string {
		slices, err := w.DiscoveryV1().EndpointSlices("story").List(w.ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
		if err != nil || len(slices.Items) != 1 {
			return fmt.Sprint(slices, err)
		}
		return ""
	})
}

// gone is what goes with what it belongs to.
func (w *world) gone() {
	w.vanishes("Job with a time to live", "batch/v1", "jobs", "story", "brief")
	widget := w.create(map[string]any{"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "w", "namespace": "story"}})
	w.create(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "owned", "namespace": "story", "ownerReferences": []any{
		map[string]any{"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": string(widget.GetUID())},
	}}})
	w.remove("example.com/v1", "widgets", "story", "w")
	w.vanishes("what a custom resource owns", "v1", "configmaps", "story", "owned")
	w.remove("apps/v1", "deployments", "story", "web")
	w.eventually("the Deployment's Pods", func() string {
		pods, err := w.CoreV1().Pods("story").List(w.ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil || len(pods.Items) > 0 {
			return fmt.Sprint(len(pods.Items), " are left ", err)
		}
		return ""
	})
	w.remove("storage.k8s.io/v1", "volumeattributesclasses", "", "gold")
	w.vanishes("an unused class", "storage.k8s.io/v1", "volumeattributesclasses", "", "gold")
	w.remove("v1", "namespaces", "", "story")
	w.vanishes("a namespace with all that is in it", "v1", "namespaces", "", "story")
	w.shows("volume", "v1", "persistentvolumes", "", "vol", func(o obj) bool { return o.text("status", "phase") == "Released" })
}

// play stands for scheduler and nodes: whatever Pod comes runs and is ready, and those of Jobs succeed.
func (w *world) play() {
	const runs = `{"status":{"phase":"Running","podIP":"10.244.0.9","podIPs":[{"ip":"10.244.0.9"}],"conditions":[{"type":"Ready","status":"True"}]}}`
	const ends = `{"status":{"phase":"Succeeded"}}`
	for w.ctx.Err() == nil {
		watch, err := w.CoreV1().Pods("story").Watch(w.ctx, metav1.ListOptions{})
		if err != nil {
			continue
		}
		for e := range watch.ResultChan() {
			pod, ok := e.Object.(*corev1.Pod)
			if !ok || pod.Status.Phase != corev1.PodPending || pod.DeletionTimestamp != nil {
				continue
			}
			patch := runs
			if pod.Labels["batch.kubernetes.io/job-name"] != "" {
				patch = ends
			}
			_, err := w.CoreV1().Pods("story").Patch(w.ctx, pod.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
			if err != nil && w.ctx.Err() == nil && !apierrors.IsNotFound(err) {
				w.t.Errorf("pod %s: %v", pod.Name, err)
			}
		}
	}
}

func (w *world) ready(node string) {
	w.t.Helper()
	const status = `{"status":{"conditions":[{"type":"Ready","status":"True"}],"capacity":{"pods":"110"},"allocatable":{"pods":"110"}}}`
	if _, err := w.CoreV1().Nodes().Patch(w.ctx, node, types.StrategicMergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		w.t.Fatal(err)
	}
}

// request asks for a client certificate, and approves.
func (w *world) request(name string) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		w.t.Fatal(err)
	}
	csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}}
	csr.Spec.SignerName, csr.Spec.Usages = certificatesv1.KubeAPIServerClientSignerName, []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}
	csr.Spec.Request = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	api := w.CertificatesV1().CertificateSigningRequests()
	if csr, err = api.Create(w.ctx, csr, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	csr.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test"}}
	if _, err := api.UpdateApproval(w.ctx, name, csr, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// apply creates all objects of a file, in its order.
func (w *world) apply(file string) {
	w.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.create(object)
	}
}

// create makes one object. Its kind or namespace may be so new that the server does not know it yet.
func (w *world) create(object map[string]any) *unstructured.Unstructured {
	w.t.Helper()
	u := &unstructured.Unstructured{Object: object}
	resource, _ := meta.UnsafeGuessKindToResource(u.GroupVersionKind())
	var made *unstructured.Unstructured
	w.eventually("creation of "+u.GetKind()+" "+u.GetName(), func() (why string) {
		var err error
		if made, err = w.any.Resource(resource).Namespace(u.GetNamespace()).Create(w.ctx, u, metav1.CreateOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
	return made
}

func (w *world) resource(version, plural, namespace string) dynamic.ResourceInterface {
	gv, err := schema.ParseGroupVersion(version)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.any.Resource(gv.WithResource(plural)).Namespace(namespace)
}

func (w *world) remove(version, plural, namespace, name string) {
	w.t.Helper()
	if err := w.resource(version, plural, namespace).Delete(w.ctx, name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// shows waits until something holds of an object.
func (w *world) shows(what, version, plural, namespace, name string, holds func(obj) bool) {
	w.t.Helper()
	w.eventually(what, func() string {
		u, err := w.resource(version, plural, namespace).Get(w.ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if !holds(obj{u.Object}) {
			return fmt.Sprint(u.Object)
		}
		return ""
	})
}

func (w *world) vanishes(what, version, plural, namespace, name string) {
	w.t.Helper()
	w.eventually(what+" to go", func() string {
		u, err := w.resource(version, plural, namespace).Get(w.ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return ""
		case err != nil:
			return err.Error()
		}
		return fmt.Sprint(u.Object)
	})
}

// eventually waits until the function has nothing to complain of, or somebody else has.
func (w *world) eventually(what string, complains func() string) {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		why := complains()
		if why == "" {
			return
		}
		if w.t.Failed() {
			w.t.FailNow()
		}
		select {
		case <-w.ctx.Done():
			w.t.Fatalf("%s: %s", what, why)
		case <-tick.C:
		}
	}
}

// obj is an object as JSON.
type obj struct{ fields map[string]any }

func (o obj) text(path ...string) string {
	s, _, _ := unstructured.NestedString(o.fields, path...)
	return s
}

func (o obj) number(path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(o.fields, path...)
	return n
}

func (o obj) list(path ...string) []any {
	l, _, _ := unstructured.NestedSlice(o.fields, path...)
	return l
}

func (o obj) condition(kind string) bool {
	for _, c := range o.list("status", "conditions") {
		if c, ok := c.(map[string]any); ok && c["type"] == kind && c["status"] == "True" {
			return true
		}
	}
	return false
}
