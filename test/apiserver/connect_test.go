package apiserver

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/client"
)

func newPod(name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "none"}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

func createPod(t *testing.T, set *client.Set, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	made, err := set.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// inPhase gives a Pod a phase and an address, as a kubelet does, ready or not.
func inPhase(t *testing.T, set *client.Set, pod *corev1.Pod, phase corev1.PodPhase, ready corev1.ConditionStatus, ip string) *corev1.Pod {
	t.Helper()
	pod.Status.Phase, pod.Status.PodIP = phase, ip
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: ready})
	if ip != "" {
		pod.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	made, err := set.CoreV1().Pods("default").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestBindings(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).InProcess("admin", "system:masters")
	bind := func(pod, node string, change func(*corev1.Binding), dry ...string) error {
		b := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: pod}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
		if change != nil {
			change(b)
		}
		return set.CoreV1().Pods("default").Bind(t.Context(), b, metav1.CreateOptions{DryRun: dry})
	}
	createPod(t, set, newPod("web", nil))
	createPod(t, set, newPod("gated", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.org/wait"}} }))
	if err := bind("web", "a", func(b *corev1.Binding) { b.UID = "another" }); !apierrors.IsConflict(err) {
		t.Errorf("another Pod of that name: %v", err)
	}
	if err := bind("web", "a", nil, "All"); err != nil {
		t.Errorf("dry run: %v", err)
	}
	if err := bind("web", "", nil); !apierrors.IsInvalid(err) {
		t.Errorf("to no node: %v", err)
	}
	if err := bind("missing", "a", nil); !apierrors.IsNotFound(err) {
		t.Errorf("a missing Pod: %v", err)
	}
	if err := bind("gated", "a", nil); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "has non-empty .spec.schedulingGates") {
		t.Errorf("a gated Pod: %v", err)
	}
	if err := bind("web", "a", func(b *corev1.Binding) { b.Annotations = map[string]string{"k": "v"} }); err != nil {
		t.Fatal(err)
	}
	web, err := set.CoreV1().Pods("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || web.Spec.NodeName != "a" || web.Annotations["k"] != "v" || len(web.Status.Conditions) != 1 || web.Status.Conditions[0].Type != corev1.PodScheduled {
		t.Errorf("bound: %+v, %v", web, err)
	}
	const again = `Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "a"`
	if err := bind("web", "b", nil); !apierrors.IsConflict(err) || err.Error() != again {
		t.Errorf("again: %v; want %s", err, again)
	}
}

func TestEvictionsKeepToBudgets(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	set := server.InProcess("admin", "system:masters")
	evict := func(name string, options *metav1.DeleteOptions) error {
		return set.PolicyV1().Evictions("default").Evict(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, DeleteOptions: options})
	}
	ready := func(name string) *corev1.Pod {
		return inPhase(t, set, createPod(t, set, newPod(name, nil)), corev1.PodRunning, corev1.ConditionTrue, "")
	}
	ready("one")
	budgets := set.PolicyV1().PodDisruptionBudgets("default")
	budget, err := budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: policyv1.PodDisruptionBudgetSpec{
		MinAvailable: ptr.To(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cause := func(err error) string {
		var status *apierrors.StatusError
		if !errors.As(err, &status) || status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
			return ""
		}
		return status.ErrStatus.Details.Causes[0].Message
	}
	// Not by a client: it would do as it is told and ask again in ten seconds.
	early := server.Do(http.MethodPost, "/api/v1/namespaces/default/pods/one/eviction", `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"one"}}`)
	if early.Code != http.StatusTooManyRequests || early.Header.Get("Retry-After") != "10" || !strings.Contains(early.Body, "The disruption budget web is still being processed by the server.") {
		t.Errorf("a budget that nobody has looked at: %d, retry after %q: %s", early.Code, early.Header.Get("Retry-After"), early.Body)
	}
	allow := func(n int32) {
		t.Helper()
		budget.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: budget.Generation, DisruptionsAllowed: n, CurrentHealthy: 1 + n, DesiredHealthy: 1, ExpectedPods: 1 + n}
		if budget, err = budgets.UpdateStatus(t.Context(), budget, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	allow(0)
	if err := evict("one", nil); !apierrors.IsTooManyRequests(err) || cause(err) != "The disruption budget web needs 1 healthy pods and has 1 currently" {
		t.Errorf("an empty budget: %v, %s", err, cause(err))
	}
	if err := evict("one", &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: ptr.To("1")}}); !apierrors.IsConflict(err) {
		t.Errorf("another version: %v", err)
	}
	// Pods that are not ready do not count while enough others are.
	inPhase(t, set, createPod(t, set, newPod("sick", nil)), corev1.PodRunning, corev1.ConditionFalse, "")
	if err := evict("sick", nil); err != nil {
		t.Errorf("a Pod that is not ready: %v", err)
	}
	createPod(t, set, newPod("pending", nil))
	if err := evict("pending", nil); err != nil {
		t.Errorf("a Pod that does not run yet: %v", err)
	}
	allow(1)
	if err := evict("one", &metav1.DeleteOptions{DryRun: []string{"All"}}); err != nil {
		t.Errorf("dry run: %v", err)
	}
	if budget, err = budgets.Get(t.Context(), "web", metav1.GetOptions{}); err != nil || budget.Status.DisruptionsAllowed != 1 {
		t.Fatalf("a dry run used up the budget: %+v, %v", budget.Status, err)
	}
	// The version that the client has seen is the one that goes, though its conditions change on the way.
	one, err := set.CoreV1().Pods("default").Get(t.Context(), "one", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := evict("one", &metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0)), Preconditions: &metav1.Preconditions{ResourceVersion: &one.ResourceVersion}}); err != nil {
		t.Errorf("this very version: %v", err)
	}
	if budget, err = budgets.Get(t.Context(), "web", metav1.GetOptions{}); err != nil || budget.Status.DisruptionsAllowed != 0 || len(budget.Status.DisruptedPods) != 1 {
		t.Errorf("after an eviction: %+v, %v", budget.Status, err)
	}
	if _, err := set.CoreV1().Pods("default").Get(t.Context(), "one", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the evicted Pod: %v", err)
	}
	if _, err := budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "second"}, Spec: policyv1.PodDisruptionBudgetSpec{
		MinAvailable: ptr.To(intstr.FromInt32(0)), Selector: &metav1.LabelSelector{},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ready("two")
	if err := evict("two", nil); !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "more than one PodDisruptionBudget") {
		t.Errorf("two budgets: %v", err)
	}
}

func TestTokensAreAskedForUsedAndReviewed(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	set := server.InProcess("admin", "system:masters")
	accounts := set.CoreV1().ServiceAccounts("default")
	bot, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "bot"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	createPod(t, set, newPod("web", func(p *corev1.Pod) { p.Spec.ServiceAccountName = "bot" }))
	ask := func(spec authenticationv1.TokenRequestSpec) (*authenticationv1.TokenRequest, error) {
		return accounts.CreateToken(t.Context(), "bot", &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	}
	refs := func(kind, name string) authenticationv1.TokenRequestSpec {
		return authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name}}
	}
	for name, test := range map[string]struct {
		spec authenticationv1.TokenRequestSpec
		is   func(error) bool
	}{
		"too short":        {authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(60))}, apierrors.IsInvalid},
		"too long":         {authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(1<<32 + 1))}, apierrors.IsInvalid},
		"a missing Pod":    {refs("Pod", "missing"), apierrors.IsNotFound},
		"a strange object": {refs("ConfigMap", "c"), apierrors.IsBadRequest},
		"another UID":      {authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "web", UID: "another"}}, apierrors.IsConflict},
	} {
		if _, err := ask(test.spec); err == nil || !test.is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	request, err := ask(refs("Pod", "web"))
	if err != nil {
		t.Fatal(err)
	}
	user := server.Clients(&rest.Config{Host: server.URL, QPS: -1, BearerToken: request.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: server.CAData}})
	self, err := user.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info := self.Status.UserInfo
	if info.Username != "system:serviceaccount:default:bot" || info.UID != string(bot.UID) || !slices.Contains(info.Groups, "system:authenticated") || !slices.Equal(info.Extra["authentication.kubernetes.io/pod-name"], []string{"web"}) {
		t.Errorf("the token's user: %+v", info)
	}
	if _, err := user.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a user without rights: %v", err)
	}
	review := func(token string, audiences ...string) authenticationv1.TokenReviewStatus {
		t.Helper()
		made, err := set.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return made.Status
	}
	if s := review(request.Status.Token); !s.Authenticated || s.User.Username != info.Username || len(s.Audiences) != 1 {
		t.Errorf("review: %+v", s)
	}
	if s := review(request.Status.Token, "vault"); s.Authenticated || s.Error == "" {
		t.Errorf("review for another audience: %+v", s)
	}
	if s := review("guess"); s.Authenticated {
		t.Errorf("review of a guess: %+v", s)
	}
	// A bootstrap token has no audience: it is for this server.
	_, err = set.CoreV1().Secrets("kube-system").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: corev1.SecretTypeBootstrapToken, StringData: map[string]string{
		"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s := review("abcdef.0123456789abcdef"); !s.Authenticated || s.User.Username != "system:bootstrap:abcdef" {
		t.Errorf("bootstrap token: %+v", s)
	}
	if s := review("abcdef.0123456789abcdef", "vault"); s.Authenticated {
		t.Errorf("bootstrap token for another audience: %+v", s)
	}
	// The token ends with its Pod.
	if err := set.CoreV1().Pods("default").Delete(t.Context(), "web", metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}); err != nil {
		t.Fatal(err)
	}
	gone := func(context.Context) (bool, error) { return !review(request.Status.Token).Authenticated, nil }
	if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, waitStop/6, true, gone); err != nil {
		t.Error("the token of a Pod that is gone is still good")
	}
}

func TestAccessIsReviewed(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	set := server.InProcess("admin", "system:masters")
	if _, err := set.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "viewer"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"pods"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := set.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "jane"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "viewer"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	jane := server.InProcess("jane", "system:authenticated")
	allowed := func(verb, resource, namespace string) bool {
		t.Helper()
		of := &authorizationv1.ResourceAttributes{Verb: verb, Resource: resource, Namespace: namespace}
		r, err := set.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: of}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		own, err := jane.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: of}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status.Allowed && own.Status.Allowed
	}
	// The server's own informers may be a moment behind the write.
	known := func(context.Context) (bool, error) { return allowed("list", "pods", "default"), nil }
	if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, waitStop/6, true, known); err != nil {
		t.Error("a viewer may not list Pods")
	}
	if allowed("delete", "pods", "default") || allowed("list", "secrets", "default") || allowed("list", "pods", "kube-system") {
		t.Error("a viewer may do more than view")
	}
	if _, err := set.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{}, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("an empty review: %v", err)
	}
	rules, err := jane.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}}, metav1.CreateOptions{})
	if err != nil || len(rules.Status.ResourceRules) == 0 || len(rules.Status.NonResourceRules) == 0 {
		t.Errorf("rules: %+v, %v", rules, err)
	}
}

func TestProxiesReachOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	set := server.InProcess("admin", "system:masters")
	for name, ip := range map[string]string{"local": "127.0.0.1", "metadata": "169.254.169.254", "none": ""} {
		inPhase(t, set, createPod(t, set, newPod(name, nil)), corev1.PodRunning, corev1.ConditionTrue, ip)
	}
	for path, code := range map[string]int{
		"pods/local:8080/proxy/": http.StatusBadRequest, "pods/metadata:80/proxy/latest": http.StatusBadRequest, "pods/none/proxy/": http.StatusServiceUnavailable,
		"pods/missing/proxy/": http.StatusNotFound, "pods/http:a:b:c/proxy/": http.StatusBadRequest, "services/kubernetes:nope/proxy/": http.StatusServiceUnavailable,
	} {
		if answer := server.Do(http.MethodGet, "/api/v1/namespaces/default/"+path, ""); answer.Code != code {
			t.Errorf("%s: %d, want %d: %s", path, answer.Code, code, answer.Body)
		}
	}
}
