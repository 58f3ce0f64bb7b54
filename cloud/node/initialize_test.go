package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/api"
)

func TestNodesAreInitialized(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{corev1.LabelTopologyZone: "chosen"}},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: api.TaintExternalCloudProvider}, {Key: "kept"}}},
	}
	// A provider may call all three the same.
	done := Initialized(node, &cloudprovider.InstanceMetadata{ProviderID: "local://a", InstanceType: "local", Zone: "local", Region: "local"})
	for key, want := range map[string]string{
		corev1.LabelInstanceTypeStable: "local", corev1.LabelInstanceType: "local", corev1.LabelTopologyZone: "chosen",
		corev1.LabelFailureDomainBetaZone: "local", corev1.LabelTopologyRegion: "local", corev1.LabelFailureDomainBetaRegion: "local",
	} {
		if got := done.Labels[key]; got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if done.Spec.ProviderID != "local://a" || len(done.Spec.Taints) != 1 || done.Spec.Taints[0].Key != "kept" {
		t.Errorf("%+v", done.Spec)
	}
	if len(node.Labels) != 1 || len(node.Spec.Taints) != 2 || node.Spec.Taints[0].Key != api.TaintExternalCloudProvider {
		t.Errorf("the informer's own Node was changed: %+v", node)
	}
}

func TestTheAddressThatTheKubeletUsesIsFirst(t *testing.T) {
	t.Parallel()
	known := &cloudprovider.InstanceMetadata{NodeAddresses: []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.2"}, {Type: corev1.NodeExternalIP, Address: "198.51.100.1"},
	}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{providedIP: "192.0.2.2"}}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "a"}}
	got, err := addressesOf(node, known)
	if err != nil || len(got) != 3 || got[0].Address != "192.0.2.2" || got[1].Address != "198.51.100.1" || got[2].Address != "a" {
		t.Errorf("%v, %v", got, err)
	}
	node.Annotations[providedIP] = "203.0.113.1"
	if _, err := addressesOf(node, known); err == nil {
		t.Error("an address that the provider does not know is used")
	}
}
