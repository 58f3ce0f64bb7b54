package plugins

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/admission"
)

func nodeNamed(name string, change func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u", Labels: map[string]string{"kubernetes.io/hostname": name}}}
	if change != nil {
		change(n)
	}
	return n
}

func mirrorPod(change func(*corev1.Pod)) *corev1.Pod {
	p := podThatAsks(nil, nil)
	p.Annotations = map[string]string{mirrorAnnotation: "x"}
	p.Spec.NodeName = "n"
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: "u", Controller: ptr.To(true)}}
	if change != nil {
		change(p)
	}
	return p
}

// tokenFor is a request for a token that is bound to an object.
func tokenFor(bound *authenticationv1.BoundObjectReference) *admission.Attributes {
	return of(creation(&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: bound}}, "token"), "", "serviceaccounts")
}

func TestNodesWriteTheirOwn(t *testing.T) {
	t.Parallel()
	mine, theirs := podThatAsks(nil, nil), podThatAsks(nil, nil)
	mine.Name, mine.UID, mine.Spec.NodeName = "mine", "m", "n"
	theirs.Name, theirs.UID, theirs.Spec.NodeName = "theirs", "t", "other"
	labelledPod := mine.DeepCopy()
	labelledPod.Labels = map[string]string{"a": "b"}
	deletion := func(pod *corev1.Pod) *admission.Attributes {
		a := creation(pod)
		a.Operation, a.Object, a.OldObject = admission.Delete, nil, pod
		return a
	}
	evict := func(pod *corev1.Pod) *admission.Attributes {
		return of(creation(&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name}}, "eviction"), "", "pods")
	}
	bound := func(name, uid string) *authenticationv1.BoundObjectReference {
		return &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: name, UID: types.UID(uid)}
	}
	lease := func(namespace, name string) *admission.Attributes {
		a := creation(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}})
		a.Namespace = namespace
		return a
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "c"}}
	grown, moved := claim.DeepCopy(), claim.DeepCopy()
	grown.Status.Capacity = amounts("storage", "2Gi")
	moved.Spec.VolumeName = "v"
	label := func(key string) *corev1.Node {
		return nodeNamed("n", func(n *corev1.Node) { n.Labels[key] = "x" })
	}
	for _, test := range []struct {
		name    string
		request *admission.Attributes
		want    string
	}{
		{"own node", creation(nodeNamed("n", nil)), ""},
		{"another node", creation(nodeNamed("other", nil)), `nodes "other" is forbidden: node "n" is not allowed to modify node "other"`},
		{"a restricted label", creation(label("node-restriction.kubernetes.io/a")), `node "n" is not allowed to set the following labels: node-restriction.kubernetes.io/a`},
		{"a role", creation(label("node-role.kubernetes.io/control-plane")), `node "n" is not allowed to set the following labels: node-role.kubernetes.io/control-plane`},
		{"a label of its own", creation(label("node.kubernetes.io/a")), ""},
		{"a label of somebody", creation(label("example.com/a")), ""},
		{"a new restricted label", update(label("node-restriction.kubernetes.io/a"), nodeNamed("n", nil)), "is not allowed to modify labels: node-restriction.kubernetes.io/a"},
		{"a restricted label that goes", update(nodeNamed("n", nil), label("a.node-restriction.kubernetes.io/a")), "is not allowed to modify labels: a.node-restriction.kubernetes.io/a"},
		{"a restricted label that stays", update(label("node-restriction.kubernetes.io/a"), label("node-restriction.kubernetes.io/a"), "status"), ""},
		{"taints", update(nodeNamed("n", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "a"}} }), nodeNamed("n", nil)), `node "n" is not allowed to modify taints`},
		{"owners", update(nodeNamed("n", func(n *corev1.Node) { n.OwnerReferences = []metav1.OwnerReference{{Name: "a"}} }), nodeNamed("n", nil)), `node "n" is not allowed to modify ownerReferences`},

		{"a mirror pod", creation(mirrorPod(nil)), ""},
		{"a plain pod", creation(mine), `pod does not have "kubernetes.io/config.mirror" annotation, node "n" can only create mirror pods`},
		{"a mirror elsewhere", creation(mirrorPod(func(p *corev1.Pod) { p.Spec.NodeName = "other" })), `node "n" can only create pods with spec.nodeName set to itself`},
		{"a mirror without owner", creation(mirrorPod(func(p *corev1.Pod) { p.OwnerReferences = nil })), `node "n" can only create pods with an owner reference set to itself`},
		{"a mirror of an older node", creation(mirrorPod(func(p *corev1.Pod) { p.OwnerReferences[0].UID = "w" })), "node n UID mismatch: expected w got u"},
		{"a mirror with a secret", creation(mirrorPod(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}}}
		})), `node "n" can not create pods that reference secrets`},
		{"a mirror with an account", creation(mirrorPod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = "a" })), `node "n" can not create pods that reference a service account`},
		{"a change of a pod", update(mine, mine), `unexpected operation "UPDATE", node "n" can only create and delete mirror pods`},
		{"deletion", deletion(mine), ""},
		{"deletion of another's", deletion(theirs), `node "n" can only delete pods with spec.nodeName set to itself`},
		{"status", update(mine, mine, "status"), ""},
		{"status of another's", update(theirs, theirs, "status"), `node "n" can only update pod status for pods with spec.nodeName set to itself`},
		{"labels by status", update(labelledPod, mine, "status"), `node "n" cannot update labels through pod status`},
		{"eviction", evict(mine), ""},
		{"eviction of another's", evict(theirs), "node n can only evict pods with spec.nodeName set to itself"},

		{"token", tokenFor(bound("mine", "m")), ""},
		{"token for anything", tokenFor(nil), "node requested token not bound to a pod"},
		{"token without a uid", tokenFor(bound("mine", "")), "node requested token with a pod binding without a uid"},
		{"token of an older pod", tokenFor(bound("mine", "x")), "the UID in the bound object reference (x) does not match the UID in record. The object might have been deleted and then recreated"},
		{"token of another's", tokenFor(bound("theirs", "t")), "node requested token bound to a pod scheduled on a different node"},

		{"lease", lease("kube-node-lease", "n"), ""},
		{"lease elsewhere", lease("default", "n"), `can only access leases in the "kube-node-lease" system namespace`},
		{"lease of another", lease("kube-node-lease", "other"), "can only access node lease with the same name as the requesting node"},
		{"CSINode", creation(&storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n"}}), ""},
		{"CSINode of another", creation(&storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "other"}}), "can only access CSINode with the same name as the requesting node"},
		{"capacity of a claim", update(grown, claim, "status"), ""},
		{"volume of a claim", update(moved, claim, "status"), `node "n" is not allowed to update fields other than status.quantity and status.conditions`},
		{"a claim", update(grown, claim), "may only update PVC status"},
		{"what it is not about", creation(&corev1.Event{}), ""},
	} {
		plugin, _ := world(t, nodeRestriction, nodeNamed("n", nil), mine, theirs)
		agree(t, test.name, run(t, plugin, as(test.request, "system:node:n", "system:nodes")), test.want)
		agree(t, test.name+", by an administrator", run(t, plugin, as(test.request, "admin", "system:masters")), "")
	}
}
