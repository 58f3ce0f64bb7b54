package plugins

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/config"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// rights are what everybody may do: "delete pods p", "update nodes/finalizers n".
type rights []string

func (r rights) Authorize(_ context.Context, info *request.Info, _ resource.User) (request.Decision, string, error) {
	what := info.Resource
	if info.Subresource != "" {
		what += "/" + info.Subresource
	}
	if slices.Contains(r, strings.Join([]string{info.Verb, what, info.Name}, " ")) {
		return request.Allow, "", nil
	}
	return request.NoOpinion, "no rule", nil
}

// oneNamespace is a store that has one Namespace.
type oneNamespace struct {
	store.Store
	namespace *corev1.Namespace
}

func (s oneNamespace) Get(_ context.Context, key store.Key, _ string) (*store.Item, error) {
	if key.Name != s.namespace.Name {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, key.Name)
	}
	return &store.Item{Key: key, Object: s.namespace}, nil
}

// served is a World with Nodes, StorageClasses and one Namespace, "default".
func served(may rights, annotations map[string]string) *match.World {
	kind := func(group, name, plural string, scope resource.Scope, obj resource.Object) *resource.Kind {
		return &resource.Kind{
			GroupVersionKind: schema.GroupVersionKind{Group: group, Version: "v1", Kind: name}, Scope: scope,
			Resource: schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural}, New: func() resource.Object { return obj },
		}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Annotations: annotations}}
	open := func() store.Store { return oneNamespace{namespace: namespace} }
	w := &match.World{Resources: &rest.Registry{}, Authorizer: may}
	w.Resources.Change([]*rest.Resource{
		rest.New(kind("", "Namespace", "namespaces", resource.Cluster, &corev1.Namespace{}), nil, open),
		rest.New(kind("", "Node", "nodes", resource.Cluster, &corev1.Node{}), nil, open),
		rest.New(kind("storage.k8s.io", "StorageClass", "storageclasses", resource.Cluster, &storagev1.StorageClass{}), nil, open),
	}, nil)
	return w
}

// placed gives a plug-in a world, and the content of its own configuration if there is one.
func placed(t *testing.T, w *match.World, name, configuration string, make func(*Env) (admission.Plugin, error)) func(*Env) (admission.Plugin, error) {
	t.Helper()
	return func(env *Env) (admission.Plugin, error) {
		env.World = w
		if configuration != "" {
			path := filepath.Join(t.TempDir(), "admission.yaml")
			text := "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name: " + name + "\n  configuration: " + configuration + "\n"
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				return admission.Plugin{}, err
			}
			var err error
			if env.Config, err = config.Load(path); err != nil {
				return admission.Plugin{}, err
			}
		}
		return make(env)
	}
}

func TestOwnersAreSetByThoseWhoMay(t *testing.T) {
	t.Parallel()
	owned := func(owners ...metav1.OwnerReference) *corev1.Pod {
		pod := podThatAsks(nil, nil)
		pod.OwnerReferences = owners
		return pod
	}
	owner := func(kind string, blocks bool) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: "v1", Kind: kind, Name: "n", UID: types.UID(kind), BlockOwnerDeletion: ptr.To(blocks)}
	}
	free, held := owner("Node", false), owner("Node", true)
	const undeletable = `pods "p" is forbidden: cannot set an ownerRef on a resource you can't delete: no rule, <nil>`
	const unfinal = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: no rule, <nil>"
	for name, test := range map[string]struct {
		may     rights
		request *admission.Attributes
		want    string
	}{
		"created with an owner":            {nil, creation(owned(free)), ""},
		"created with a held owner":        {nil, creation(owned(held)), unfinal},
		"and may":                          {rights{"update nodes/finalizers n"}, creation(owned(held)), ""},
		"and may everything":               {rights{"update */finalizers *"}, creation(owned(held)), ""},
		"an owner of no kind":              {nil, creation(owned(owner("Gone", true))), `cannot find RESTMapping for APIVersion v1 Kind Gone: no matches for kind "Gone" in version "v1"`},
		"the same owners":                  {nil, update(owned(held), owned(held)), ""},
		"a new owner":                      {nil, update(owned(free), owned()), undeletable},
		"a new owner, and may delete":      {rights{"delete pods p"}, update(owned(free), owned()), ""},
		"a held owner, and may delete":     {rights{"delete pods p"}, update(owned(held), owned(free)), unfinal},
		"an owner set free":                {rights{"delete pods p"}, update(owned(free), owned(held)), ""},
		"the status, which sets no owners": {nil, update(owned(free), owned(), "status"), ""},
	} {
		plugin, _ := world(t, placed(t, served(test.may, nil), "", "", ownerReferences))
		agree(t, name, run(t, plugin, test.request), test.want)
	}
}

func TestTolerationsOfANamespace(t *testing.T) {
	t.Parallel()
	exists := func(key string) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists}
	}
	const configuration = "{apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1, kind: Configuration, default: [{key: c, operator: Exists}], whitelist: [{key: c, operator: Exists}, {key: w, operator: Exists}]}"
	const refused = `pods "p" is forbidden: pod tolerations (possibly merged with namespace default tolerations) conflict with its `
	for name, test := range map[string]struct {
		configuration, defaults, whitelist string // "-" is no annotation
		own                                []corev1.Toleration
		want                               []corev1.Toleration
		refused                            string
	}{
		"nothing is said":            {"", "-", "-", []corev1.Toleration{exists("a")}, []corev1.Toleration{exists("a")}, ""},
		"the namespace's are added":  {"", `[{"key":"d","operator":"Exists"}]`, "-", []corev1.Toleration{exists("a")}, []corev1.Toleration{exists("a"), exists("d")}, ""},
		"the cluster's are added":    {configuration, "-", "-", nil, []corev1.Toleration{exists("c")}, ""},
		"a namespace that adds none": {configuration, "", "-", nil, nil, ""},
		"a wider one covers":         {"", `[{"operator":"Exists"}]`, "-", []corev1.Toleration{exists("a")}, []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, ""},
		"not allowed here":           {"", "-", `[{"key":"d","operator":"Exists"}]`, []corev1.Toleration{exists("a")}, []corev1.Toleration{exists("a")}, refused + "namespace whitelist"},
		"not allowed anywhere":       {configuration, "", "-", []corev1.Toleration{exists("a")}, []corev1.Toleration{exists("a")}, refused + "cluster whitelist"},
		"allowed everywhere":         {configuration, "", "-", []corev1.Toleration{exists("w")}, []corev1.Toleration{exists("w")}, ""},
	} {
		annotations := map[string]string{}
		for key, value := range map[string]string{tolerationsAnnotation: test.defaults, whitelistAnnotation: test.whitelist} {
			if value != "-" {
				annotations[key] = value
			}
		}
		pod := podThatAsks(nil, nil)
		pod.Spec.Tolerations = test.own
		plugin, _ := world(t, placed(t, served(nil, annotations), "PodTolerationRestriction", test.configuration, podTolerations))
		agree(t, name, run(t, plugin, creation(pod)), test.refused)
		if !slices.Equal(pod.Spec.Tolerations, test.want) {
			t.Errorf("%s: %v, want %v", name, pod.Spec.Tolerations, test.want)
		}
	}
	busy := podThatAsks(amounts("cpu", "1"), nil)
	plugin, _ := world(t, placed(t, served(nil, nil), "", "", podTolerations))
	agree(t, "a Pod that asks for something", run(t, plugin, creation(busy)), "")
	if len(busy.Spec.Tolerations) != 1 || busy.Spec.Tolerations[0].Key != corev1.TaintNodeMemoryPressure {
		t.Errorf("%v", busy.Spec.Tolerations)
	}
	wrong := strings.Replace(configuration, "Exists", "Sometimes", 1)
	if _, err := placed(t, served(nil, nil), "PodTolerationRestriction", wrong, podTolerations)(&Env{}); err == nil || !strings.Contains(err.Error(), "podtolerationrestriction.default[0].operator") {
		t.Errorf("a wrong configuration: %v", err)
	}
}
