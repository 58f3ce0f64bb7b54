package cluster

import (
	"context"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/cluster/dns"
)

// LocalPath is the provisioner of the default StorageClass: a directory on the node.
const LocalPath = "septet.io/local-path"

// ensureAddons puts into the API what a Kubernetes cluster does not have of itself but people expect of one: DNS, a default
// StorageClass, and the rights of those components that upstream's default policy does not know.
func (o *Options) ensureAddons(ctx context.Context, client kubernetes.Interface) error {
	if err := dns.Ensure(ctx, client, o.ClusterDNS, []string{o.NodeIP}, dnsPort); err != nil {
		return err
	}
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name: "local-path", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"},
		},
		Provisioner: LocalPath, ReclaimPolicy: ptr.To(corev1.PersistentVolumeReclaimDelete),
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	if _, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("default StorageClass: %w", err)
	}
	if err := publishFacts(ctx, client, o.facts()); err != nil {
		return fmt.Errorf("facts about the cluster: %w", err)
	}
	for i := range addonRoles {
		if err := addonRoles[i].ensure(ctx, client); err != nil {
			return fmt.Errorf("role %s: %w", addonRoles[i].name, err)
		}
	}
	return inForce(ctx, client, &addonRoles[len(addonRoles)-1])
}

// inForce waits until what a role allows its user is allowed: the authorizer hears of roles and bindings by watching, and of those
// made before this one earlier. A component that came before would be refused, and try again only seconds later.
func inForce(ctx context.Context, client kubernetes.Interface, a *addonRole) error {
	const patience = 10 * time.Second
	rule := &a.rules[0]
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               a.subject.Name,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Group: rule.APIGroups[0], Resource: rule.Resources[0], Verb: rule.Verbs[0]},
	}}
	err := wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		answer, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("role %s: whether it is in force: %w", a.name, err)
		}
		return answer.Status.Allowed, nil
	})
	if wait.Interrupted(err) {
		return ctx.Err() // an authorizer other than RBAC may never allow it: the component says so better
	}
	return err
}

// addonRole is a ClusterRole with its binding, of the same name. Without rules the binding is to a default role.
type addonRole struct {
	name    string
	role    string
	subject rbacv1.Subject
	rules   []rbacv1.PolicyRule
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}
}

var addonRoles = []addonRole{
	// The API server, as the client of kubelets.
	{name: "septet:kubelet-clients", role: "system:kubelet-api-admin", subject: group("septet:kubelet-clients")},
	// New nodes ask for certificates by their tokens, and renew them by the certificates themselves.
	{name: "septet:node-bootstrappers", role: "system:node-bootstrapper", subject: group("system:bootstrappers:septet:nodes")},
	{name: "septet:approve-new-nodes", role: "system:certificates.k8s.io:certificatesigningrequests:nodeclient", subject: group("system:bootstrappers:septet:nodes")},
	{name: "septet:approve-renewals", role: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", subject: group("system:nodes")},
	// The approver takes serving certificates that name their own node only, which upstream's never does.
	{
		name: "septet:approve-serving", subject: user("system:serviceaccount:kube-system:certificate-controller"),
		rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"signers"}, ResourceNames: []string{"kubernetes.io/kubelet-serving"}, Verbs: []string{"approve"},
		}},
	},
	// Agents run kube-proxy and keep routes under their node's identity.
	{name: "septet:node-proxiers", role: "system:node-proxier", subject: group("system:nodes")},
	// The last has rules and a user: see inForce.
	{
		name: "system:cloud-controller-manager", subject: user("system:cloud-controller-manager"),
		rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get", "list", "watch", "update", "patch", "delete"}},
			{APIGroups: []string{""}, Resources: []string{"nodes/status", "services/status"}, Verbs: []string{"update", "patch"}},
			{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"get", "list", "watch", "update", "patch"}},
			{APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch", "update"}},
			{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create", "get", "list", "watch", "update"}},
		},
	},
}

func (a *addonRole) ensure(ctx context.Context, client kubernetes.Interface) error {
	role := a.role
	if a.rules != nil {
		role = a.name
		_, err := client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: a.name}, Rules: a.rules}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: a.name}, Subjects: []rbacv1.Subject{a.subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
