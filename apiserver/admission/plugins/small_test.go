package plugins

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/admission"
)

func TestRuntimeClasses(t *testing.T) {
	t.Parallel()
	class := &nodev1.RuntimeClass{
		ObjectMeta: metav1.ObjectMeta{Name: "vm"}, Handler: "vm", Overhead: &nodev1.Overhead{PodFixed: amounts("memory", "64Mi")},
		Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"vm": "yes"}, Tolerations: []corev1.Toleration{{Key: "vm", Operator: corev1.TolerationOpExists}}},
	}
	of := func(name string, change func(*corev1.Pod)) *corev1.Pod {
		pod := podThatAsks(nil, nil)
		if name != "" {
			pod.Spec.RuntimeClassName = &name
		}
		if change != nil {
			change(pod)
		}
		return pod
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"none":             {of("", nil), ""},
		"unknown":          {of("gone", nil), `pods "p" is forbidden: pod rejected: RuntimeClass "gone" not found`},
		"known":            {of("vm", nil), ""},
		"own overhead":     {of("", func(p *corev1.Pod) { p.Spec.Overhead = amounts("cpu", "1") }), "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"},
		"another overhead": {of("vm", func(p *corev1.Pod) { p.Spec.Overhead = amounts("cpu", "1") }), "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"},
		"another node": {of("vm", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"vm": "no"} }),
			"conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no"},
	} {
		plugin, _ := world(t, runtimeClass, class)
		agree(t, name, run(t, plugin, creation(test.pod)), test.want)
		if name == "known" && (test.pod.Spec.Overhead.Memory().String() != "64Mi" || test.pod.Spec.NodeSelector["vm"] != "yes" || len(test.pod.Spec.Tolerations) != 1) {
			t.Errorf("%+v", test.pod.Spec)
		}
	}
}

func TestClaimsGrow(t *testing.T) {
	t.Parallel()
	claim := func(class, size string, phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "c"}, Status: corev1.PersistentVolumeClaimStatus{Phase: phase},
			Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, Resources: corev1.VolumeResourceRequirements{Requests: amounts("storage", size)}},
		}
	}
	const unsupported = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
	for name, test := range map[string]struct {
		class, size string
		phase       corev1.PersistentVolumeClaimPhase
		want        string
	}{
		"it can":    {"elastic", "2Gi", corev1.ClaimBound, ""},
		"same size": {"stiff", "1Gi", corev1.ClaimPending, ""},
		"not bound": {"elastic", "2Gi", corev1.ClaimPending, `persistentvolumeclaims "c" is forbidden: Only bound persistent volume claims can be expanded`},
		"it cannot": {"stiff", "2Gi", corev1.ClaimBound, unsupported},
		"no class":  {"gone", "2Gi", corev1.ClaimBound, unsupported},
	} {
		plugin, _ := world(t, claimResize, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "elastic"}, AllowVolumeExpansion: ptr.To(true)},
			&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "stiff"}})
		agree(t, name, run(t, plugin, update(claim(test.class, test.size, test.phase), claim(test.class, "1Gi", test.phase))), test.want)
	}
}

// signing returns a request for a client certificate of an organization.
func signing(t *testing.T, signer, organization string) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{Organization: []string{organization}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: signer, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
	}}
}

func TestCertificateSubjects(t *testing.T) {
	t.Parallel()
	plugin, _ := world(t, certificateSubject)
	agree(t, "anybody", run(t, plugin, creation(signing(t, certificatesv1.KubeAPIServerClientSignerName, "people"))), "")
	agree(t, "an administrator", run(t, plugin, creation(signing(t, certificatesv1.KubeAPIServerClientSignerName, "system:masters"))),
		"use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed")
	agree(t, "another signer", run(t, plugin, creation(signing(t, "example.com/signer", "system:masters"))), "")
}

// TestSigners are approved for and signed for by those who may: for one signer, or for a domain.
func TestSigners(t *testing.T) {
	t.Parallel()
	old := signing(t, "example.com/signer", "people")
	signed, told := old.DeepCopy(), old.DeepCopy()
	signed.Status.Certificate = []byte("certificate")
	told.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: "Seen"}}
	for _, test := range []struct {
		name    string
		make    func(*Env) (admission.Plugin, error)
		request *admission.Attributes
		may     string // verb and signer that the user is allowed
		want    string
	}{
		{"approve", certificateApproval, update(old, old, "approval"), "approve example.com/signer", ""},
		{"approve for a domain", certificateApproval, update(old, old, "approval"), "approve example.com/*", ""},
		{"approve for another", certificateApproval, update(old, old, "approval"), "approve example.org/*", `user not permitted to approve requests with signerName "example.com/signer"`},
		{"sign", certificateSigning, update(signed, old, "status"), "sign example.com/signer", ""},
		{"sign without leave", certificateSigning, update(signed, old, "status"), "", `user not permitted to sign requests with signerName "example.com/signer"`},
		{"tell something else", certificateSigning, update(told, old, "status"), "", ""},
	} {
		plugin, set := world(t, test.make)
		set.Interface.(*fake.Clientset).PrependReactor("create", "subjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
			review := action.(k8stesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
			what := review.Spec.ResourceAttributes
			review.Status.Allowed = what.Verb+" "+what.Name == test.may && what.Resource == "signers" && what.Group == "certificates.k8s.io" && review.Spec.User == "ann"
			return true, review, nil
		})
		agree(t, test.name, run(t, plugin, as(test.request, "ann")), test.want)
	}
}

func TestTopologyLabels(t *testing.T) {
	t.Parallel()
	plugin, _ := world(t, podTopologyLabels, nodeNamed("n", func(n *corev1.Node) {
		n.Labels["topology.kubernetes.io/zone"], n.Labels["topology.kubernetes.io/region"] = "z", "r"
	}))
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}
	agree(t, "binding", run(t, plugin, of(creation(binding, "binding"), "", "pods")), "")
	if len(binding.Labels) != 2 || binding.Labels["topology.kubernetes.io/zone"] != "z" {
		t.Errorf("%v", binding.Labels)
	}
	pod := podThatAsks(nil, nil)
	agree(t, "not bound", run(t, plugin, creation(pod)), "")
	if pod.Labels != nil {
		t.Errorf("%v", pod.Labels)
	}
	pod.Spec.NodeName = "n"
	agree(t, "bound at birth", run(t, plugin, creation(pod)), "")
	if pod.Labels["topology.kubernetes.io/region"] != "r" {
		t.Errorf("%v", pod.Labels)
	}
	binding.Target.Name = "later"
	agree(t, "a node that is not there", run(t, plugin, of(creation(binding, "binding"), "", "pods")), "")
}

func TestImagesArePulled(t *testing.T) {
	t.Parallel()
	plugin, _ := world(t, alwaysPullImages)
	pod := podThatAsks(nil, nil)
	pod.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
	before := pod.DeepCopy()
	agree(t, "touched", run(t, plugin, update(pod, before)), "")
	if pod.Spec.Containers[0].ImagePullPolicy != corev1.PullNever {
		t.Error("a running pod was changed")
	}
	agree(t, "created", run(t, plugin, creation(pod)), "")
	if pod.Spec.Containers[0].ImagePullPolicy != corev1.PullAlways {
		t.Error("not pulled")
	}
	plugin.Admit = nil
	agree(t, "changed back by another plug-in", run(t, plugin, creation(before)),
		`spec.containers[0].imagePullPolicy: Unsupported value: "Never": supported values: "Always"`)
}

func TestDevicesAreTolerated(t *testing.T) {
	t.Parallel()
	plugin, _ := world(t, extendedResourceToleration)
	pod := podThatAsks(amounts("example.com/gpu", "1", "cpu", "1"), nil)
	for range 2 { // twice is once
		agree(t, "device", run(t, plugin, creation(pod)), "")
		if want := []corev1.Toleration{{Key: "example.com/gpu", Operator: corev1.TolerationOpExists}}; !slices.Equal(pod.Spec.Tolerations, want) {
			t.Errorf("%v", pod.Spec.Tolerations)
		}
	}
}

func TestExternalAddresses(t *testing.T) {
	t.Parallel()
	plugin, _ := world(t, denyExternalIPs)
	service := func(addresses ...string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: corev1.ServiceSpec{ExternalIPs: addresses}}
	}
	const denied = "Use of external IPs is denied by admission control."
	agree(t, "none", run(t, plugin, creation(service())), "")
	agree(t, "new", run(t, plugin, creation(service("192.0.2.1"))), denied)
	agree(t, "kept", run(t, plugin, update(service("192.0.2.1"), service("192.0.2.1", "192.0.2.2"))), "")
	agree(t, "added", run(t, plugin, update(service("192.0.2.1", "192.0.2.3"), service("192.0.2.1"))), denied)
}

// TestOrder is upstream's where it matters, and off means off.
func TestOrder(t *testing.T) {
	t.Parallel()
	_, set := world(t, defaultTolerations)
	names := func(enable, disable []string) []string {
		made, err := New(&Env{Set: set}, enable, disable)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range made {
			names = append(names, p.Name)
		}
		return names
	}
	standard := names(nil, nil)
	if standard[0] != "NamespaceLifecycle" || standard[len(standard)-1] != "ResourceQuota" || slices.Contains(standard, "AlwaysPullImages") {
		t.Errorf("%v", standard)
	}
	other := names([]string{"AlwaysPullImages"}, []string{"ResourceQuota"})
	if !slices.Contains(other, "AlwaysPullImages") || slices.Contains(other, "ResourceQuota") {
		t.Errorf("%v", other)
	}
	if idle := names([]string{"ClusterTrustBundleAttest", "JobValidation", "PodGroupProtection", "PodGroupWorkloadExists"}, nil); !slices.Contains(idle, "JobValidation") {
		t.Errorf("%v", idle)
	}
	if _, err := New(&Env{Set: set}, []string{"Nothing"}, nil); err == nil {
		t.Error("a plug-in that is not there was made")
	}
}
