package bootstrap

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// Service keeps the "kubernetes" Service of the namespace default and its endpoints: the addresses of all API servers that are alive.
type Service struct {
	Client kubernetes.Interface
	// Etcd holds a key with a lease for each server, as upstream's do, so that both kinds of server can run side by side.
	Etcd *clientv3.Client
	// Prefix is that of all keys: "/registry".
	Prefix string
	// Address and Port are where this server is reached; ClusterIPs are the Service's own, one an IP family.
	Address    netip.Addr
	Port       int32
	ClusterIPs []string
	// NodePort, if not 0, makes the Service one of type NodePort, unless it is there already.
	NodePort int32
	// CIDRs are the ranges that cluster IPs come from.
	CIDRs []string
}

const (
	serviceName = "kubernetes"
	// aliveFor is for how long a server that does not answer stays in the endpoints.
	aliveFor = 15 * time.Second
	// How long until what failed is tried again.
	firstPause, longestPause = time.Second, 10 * time.Second
)

// Ensure makes the Service, and the ServiceCIDR that its address is from, if they are not there.
func (s *Service) Ensure(ctx context.Context) error {
	if err := s.ensureRange(ctx); err != nil {
		return err
	}
	services := s.Client.CoreV1().Services(metav1.NamespaceDefault)
	_, err := services.Get(ctx, serviceName, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	policy := corev1.IPFamilyPolicySingleStack
	if len(s.ClusterIPs) > 1 {
		policy = corev1.IPFamilyPolicyPreferDualStack
	}
	kind := corev1.ServiceTypeClusterIP
	if s.NodePort != 0 {
		kind = corev1.ServiceTypeNodePort
	}
	_, err = services.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: serviceName, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			Ports:           []corev1.ServicePort{{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(s.Port), NodePort: s.NodePort}},
			ClusterIP:       s.ClusterIPs[0],
			ClusterIPs:      s.ClusterIPs,
			IPFamilyPolicy:  &policy,
			SessionAffinity: corev1.ServiceAffinityNone,
			Type:            kind,
		},
	}, metav1.CreateOptions{})
	return ignoreExists(err)
}

// ensureRange makes the default ServiceCIDR, which lets the configured ranges be seen in the API, adds a second family to it
// that has been configured since, and says that it is ready.
func (s *Service) ensureRange(ctx context.Context) error {
	ranges := s.Client.NetworkingV1().ServiceCIDRs()
	cidr, err := ranges.Get(ctx, serviceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		cidr, err = ranges.Create(ctx, &networkingv1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{Name: serviceName}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: s.CIDRs},
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			cidr, err = ranges.Get(ctx, serviceName, metav1.GetOptions{})
		}
	}
	if err != nil {
		return err
	}
	if len(s.CIDRs) == 2 && len(cidr.Spec.CIDRs) == 1 && s.CIDRs[0] == cidr.Spec.CIDRs[0] {
		cidr = cidr.DeepCopy()
		cidr.Spec.CIDRs = s.CIDRs
		if cidr, err = ranges.Update(ctx, cidr, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("second family of the default ServiceCIDR: %w", err)
		}
	}
	ready := meta.FindStatusCondition(cidr.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
	if cidr.DeletionTimestamp != nil || !slices.Equal(cidr.Spec.CIDRs, s.CIDRs) || ready != nil && ready.Status != metav1.ConditionUnknown {
		return nil
	}
	cidr = cidr.DeepCopy()
	meta.SetStatusCondition(&cidr.Status.Conditions, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue, Message: "Kubernetes default Service CIDR is ready",
	})
	// Upstream applies it. An update comes to the same, and saves every start of a new cluster reading the merge schema of all kinds.
	_, err = ranges.UpdateStatus(ctx, cidr, metav1.UpdateOptions{FieldManager: "kubernetes-service-cidr-controller"})
	return err
}

// Run announces this server and keeps the endpoints up to date until ctx ends; then it withdraws the server. What fails, because
// etcd is away for a while or since somebody's admission refuses the endpoints, is tried again: soon at first, then as often as upstream does.
func (s *Service) Run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := s.announce(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > aliveFor {
			pause = firstPause // it was well for a while
		}
		logger.Error(err, "Endpoints of the kubernetes Service; trying again", "after", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// announce holds this server's key and follows those of all servers until something fails. Nothing of it is left then.
func (s *Service) announce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lease, err := s.Etcd.Grant(ctx, int64(aliveFor/time.Second))
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	folder := s.Prefix + "/masterleases/"
	value, err := s.leaseValue()
	if err != nil {
		return err
	}
	if _, err := s.Etcd.Put(ctx, folder+s.Address.String(), value, clientv3.WithLease(lease.ID)); err != nil {
		return fmt.Errorf("announce %s: %w", s.Address, err)
	}
	defer func() {
		withdraw, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if _, err := s.Etcd.Revoke(withdraw, lease.ID); err != nil {
			klog.FromContext(ctx).V(2).Info("The lease will end by itself", "err", err)
		}
	}()
	alive, err := s.Etcd.KeepAlive(ctx, lease.ID)
	if err != nil {
		return fmt.Errorf("keep lease: %w", err)
	}
	watch := s.Etcd.Watch(ctx, folder, clientv3.WithPrefix())
	if err := s.publish(ctx, folder); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case response, ok := <-watch:
			if !ok || response.Err() != nil {
				return fmt.Errorf("watch of %s ended: %w", folder, response.Err())
			}
			if err := s.publish(ctx, folder); err != nil {
				return err
			}
		case _, ok := <-alive:
			if !ok {
				return fmt.Errorf("lease of %s ended", s.Address)
			}
		}
	}
}

// leaseValue is an Endpoints object with the address, which is what upstream keeps there.
func (s *Service) leaseValue() (string, error) {
	object := &corev1.Endpoints{Subsets: []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: s.Address.String()}}}}}
	codec := scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion)
	var text strings.Builder
	if err := codec.Encode(object, &text); err != nil {
		return "", err
	}
	return text.String(), nil
}

// publish writes the addresses of all living servers into Endpoints and EndpointSlice, if they are not there already.
func (s *Service) publish(ctx context.Context, folder string) error {
	found, err := s.Etcd.Get(ctx, folder, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return fmt.Errorf("read %s: %w", folder, err)
	}
	var addresses []string
	for _, kv := range found.Kvs {
		addresses = append(addresses, strings.TrimPrefix(string(kv.Key), folder))
	}
	slices.Sort(addresses)
	if err := persist(ctx, func(ctx context.Context) error { return s.publishEndpoints(ctx, addresses) }); err != nil {
		return fmt.Errorf("endpoints: %w", err)
	}
	if err := persist(ctx, func(ctx context.Context) error { return s.publishSlice(ctx, addresses) }); err != nil {
		return fmt.Errorf("endpoint slice: %w", err)
	}
	return nil
}

func (s *Service) publishEndpoints(ctx context.Context, addresses []string) error {
	subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: "https", Port: s.Port, Protocol: corev1.ProtocolTCP}}}
	for _, address := range addresses {
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: address})
	}
	wanted := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{
			Name: serviceName, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{discoveryv1.LabelSkipMirror: "true"},
		},
		Subsets: []corev1.EndpointSubset{subset},
	}
	api := s.Client.CoreV1().Endpoints(metav1.NamespaceDefault)
	have, err := api.Get(ctx, serviceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = api.Create(ctx, wanted, metav1.CreateOptions{})
		return err
	}
	if err != nil || equality.Semantic.DeepEqual(have.Subsets, wanted.Subsets) && have.Labels[discoveryv1.LabelSkipMirror] == "true" {
		return err
	}
	changed := have.DeepCopy()
	changed.Labels, changed.Subsets = wanted.Labels, wanted.Subsets
	_, err = api.Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

func (s *Service) publishSlice(ctx context.Context, addresses []string) error {
	wanted := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: serviceName, Namespace: metav1.NamespaceDefault,
			Labels: map[string]string{discoveryv1.LabelServiceName: serviceName},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: &s.Port, Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	if s.Address.Is6() {
		wanted.AddressType = discoveryv1.AddressTypeIPv6
	}
	for _, address := range addresses {
		wanted.Endpoints = append(wanted.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		})
	}
	api := s.Client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	have, err := api.Get(ctx, serviceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = api.Create(ctx, wanted, metav1.CreateOptions{})
		return err
	}
	if err != nil || equality.Semantic.DeepEqual(have.Endpoints, wanted.Endpoints) && equality.Semantic.DeepEqual(have.Ports, wanted.Ports) {
		return err
	}
	changed := have.DeepCopy()
	changed.Labels, changed.Endpoints, changed.Ports = wanted.Labels, wanted.Endpoints, wanted.Ports
	_, err = api.Update(ctx, changed, metav1.UpdateOptions{})
	return err
}
