package connect

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

var (
	bindingKind = schema.GroupVersionKind{Version: "v1", Kind: "Binding"}
	statusKind  = schema.GroupVersionKind{Version: "v1", Kind: "Status"}
)

// bindPod assigns a Pod to a node: POST to pods/<name>/binding.
func (c *connector) bindPod(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	return c.bindTo(w, r, conn, conn.Key.Name)
}

// bind assigns the Pod that the Binding names: POST to bindings.
func (c *connector) bind(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	return c.bindTo(w, r, conn, "")
}

func (c *connector) bindTo(w http.ResponseWriter, r *http.Request, conn *rest.Connection, name string) error {
	if err := allowMethods(r, conn, http.MethodPost); err != nil {
		return err
	}
	started := time.Now()
	binding := &corev1.Binding{}
	if err := rest.Body(r, binding, bindingKind); err != nil {
		return err
	}
	if name == "" {
		name = binding.Name
	}
	if binding.Name != "" && binding.Name != name {
		return apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if binding.Namespace != "" && binding.Namespace != conn.Key.Namespace {
		return apierrors.NewBadRequest("namespace in URL does not match namespace in Binding object")
	}
	dry := request.Query(r)["dryRun"]
	attributes := &admission.Attributes{
		Operation: admission.Create, Kind: bindingKind, Object: binding, DryRun: len(dry) > 0,
		Options: &metav1.CreateOptions{DryRun: dry},
	}
	// Admission looks the node up, so it must be named; and it may change the Binding.
	invalid := func() error {
		if errs := validateBinding(binding); len(errs) > 0 {
			return apierrors.NewInvalid(bindingKind.GroupKind(), name, errs)
		}
		return nil
	}
	if err := invalid(); err != nil {
		return err
	}
	if err := conn.Resource.Admit(r, attributes); err != nil {
		return err
	}
	if err := invalid(); err != nil {
		return err
	}
	key := store.Key{Namespace: conn.Key.Namespace, Name: name}
	if err := c.assign(r.Context(), key, binding, len(dry) > 0, started); err != nil {
		return err
	}
	request.Write(w, r, http.StatusCreated, statusKind, &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated})
	return nil
}

func validateBinding(b *corev1.Binding) field.ErrorList {
	var errs field.ErrorList
	if kind := b.Target.Kind; kind != "" && kind != "Node" {
		errs = append(errs, field.NotSupported(field.NewPath("target", "kind"), kind, []string{"Node", "<empty>"}))
	}
	if b.Target.Name == "" {
		errs = append(errs, field.Required(field.NewPath("target", "name"), ""))
	}
	return errs
}

// assign sets the Pod's node, in one transaction. Annotations and labels of the Binding go to the Pod.
func (c *connector) assign(ctx context.Context, key store.Key, binding *corev1.Binding, dry bool, started time.Time) error {
	pods := c.resources.Get(podsResource)
	conflict := func(err error) error {
		return apierrors.NewConflict(schema.GroupResource{Resource: "pods/binding"}, key.Name, err)
	}
	pre := &store.Preconditions{}
	if binding.UID != "" {
		pre.UID = &binding.UID
	}
	if binding.ResourceVersion != "" {
		pre.ResourceVersion = &binding.ResourceVersion
	}
	saw := ""
	change := func(current *store.Item) (resource.Object, time.Duration, error) {
		pod, ok := current.Object.(*corev1.Pod)
		if !ok {
			return nil, 0, apierrors.NewInternalError(fmt.Errorf("pods are stored as %T", current.Object))
		}
		switch {
		case pod.DeletionTimestamp != nil:
			return nil, 0, conflict(fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name))
		case pod.Spec.NodeName != "":
			return nil, 0, conflict(fmt.Errorf("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName))
		case len(pod.Spec.SchedulingGates) > 0:
			return nil, 0, conflict(fmt.Errorf("pod %s has non-empty .spec.schedulingGates", pod.Name))
		}
		saw = pod.ResourceVersion
		return assigned(pod, binding, started), 0, nil
	}
	if dry {
		item, err := pods.Open().Get(ctx, key, "")
		if err == nil {
			_, _, err = change(item)
		}
		return err
	}
	item, _, err := pods.Open().Update(ctx, key, pre, false, change)
	if err != nil {
		return err
	}
	pods.Note(ctx, "bind", item, saw, "to node "+binding.Target.Name)
	return nil
}

// assigned is the Pod with its node. Only what changes is copied.
func assigned(pod *corev1.Pod, binding *corev1.Binding, now time.Time) *corev1.Pod {
	bound := *pod
	bound.Spec.NodeName = binding.Target.Name
	bound.Status.NominatedNodeName = "" // it has come to pass, or not (KEP-5278)
	bound.Annotations = merged(pod.Annotations, binding.Annotations)
	bound.Labels = merged(pod.Labels, binding.Labels)
	bound.Status.Conditions = make([]corev1.PodCondition, 0, len(pod.Status.Conditions)+1)
	transition := metav1.NewTime(now.Truncate(time.Second))
	for _, condition := range pod.Status.Conditions {
		if condition.Type != corev1.PodScheduled {
			bound.Status.Conditions = append(bound.Status.Conditions, condition)
		} else if condition.Status == corev1.ConditionTrue {
			transition = condition.LastTransitionTime
		}
	}
	bound.Status.Conditions = append(bound.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: transition, ObservedGeneration: pod.Generation,
	})
	return &bound
}

func merged(base, extra map[string]string) map[string]string {
	if len(extra) == 0 {
		return base
	}
	all := make(map[string]string, len(base)+len(extra))
	for k, v := range base {
		all[k] = v
	}
	for k, v := range extra {
		all[k] = v
	}
	return all
}
