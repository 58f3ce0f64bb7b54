package dns

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// User is the name server's own identity, with the rights that CoreDNS has everywhere.
const User = "system:coredns"

const serviceName = "kube-dns"

// Ensure makes the kube-dns Service with the cluster IP that kubelets tell Pods, an EndpointSlice with the servers'
// addresses, and the name server's role.
func Ensure(ctx context.Context, client kubernetes.Interface, clusterIP string, addresses []string, port int32) error {
	for _, ensure := range []func(context.Context) error{
		func(ctx context.Context) error { return ensureRole(ctx, client) },
		func(ctx context.Context) error { return ensureService(ctx, client, clusterIP, port) },
		func(ctx context.Context) error { return ensureSlice(ctx, client, addresses, port) },
	} {
		if err := ensure(ctx); err != nil {
			return fmt.Errorf("cluster DNS: %w", err)
		}
	}
	return nil
}

func ensureRole(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: User},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"endpoints", "services", "pods", "namespaces"}, Verbs: []string{"list", "watch"}},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: User},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: User}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: User},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

func ensureService(ctx context.Context, client kubernetes.Interface, clusterIP string, port int32) error {
	target := intstr.FromInt32(port)
	_, err := client.CoreV1().Services(metav1.NamespaceSystem).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: serviceName, Namespace: metav1.NamespaceSystem,
			Labels: map[string]string{"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: clusterIP, ClusterIPs: []string{clusterIP},
			Ports: []corev1.ServicePort{
				{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP, TargetPort: target},
				{Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP, TargetPort: target},
			},
		},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func ensureSlice(ctx context.Context, client kubernetes.Interface, addresses []string, port int32) error {
	wanted := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: serviceName, Namespace: metav1.NamespaceSystem,
			Labels: map[string]string{discoveryv1.LabelServiceName: serviceName, discoveryv1.LabelManagedBy: "septet"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr.To("dns"), Port: &port, Protocol: ptr.To(corev1.ProtocolUDP)},
			{Name: ptr.To("dns-tcp"), Port: &port, Protocol: ptr.To(corev1.ProtocolTCP)},
		},
	}
	for _, address := range addresses {
		wanted.Endpoints = append(wanted.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		})
	}
	slices := client.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem)
	have, err := slices.Get(ctx, serviceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = slices.Create(ctx, wanted, metav1.CreateOptions{})
		return err
	}
	if err != nil || equality.Semantic.DeepEqual(have.Endpoints, wanted.Endpoints) && equality.Semantic.DeepEqual(have.Ports, wanted.Ports) {
		return err
	}
	changed := have.DeepCopy()
	changed.Labels, changed.Endpoints, changed.Ports = wanted.Labels, wanted.Endpoints, wanted.Ports
	_, err = slices.Update(ctx, changed, metav1.UpdateOptions{})
	return err
}
