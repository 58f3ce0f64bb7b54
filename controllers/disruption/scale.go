package disruption

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/index"
)

// scale sums up how many Pods the controllers of the given Pods want, each once. unmanaged says that some Pod has none.
func (c *controller) scale(ctx context.Context, selected []*corev1.Pod) (total int, unmanaged bool, err error) {
	wanted := map[types.UID]int{} // by the outermost controller
	seen := map[types.UID]bool{}  // controllers that Pods name
	for _, pod := range selected {
		ref := metav1.GetControllerOfNoCopy(pod)
		if ref == nil {
			unmanaged = true
			continue
		}
		if seen[ref.UID] {
			continue
		}
		seen[ref.UID] = true
		uid, n, err := c.controllerScale(ctx, pod.Namespace, ref)
		if err != nil {
			return 0, unmanaged, err
		}
		if uid == "" {
			return 0, unmanaged, fmt.Errorf("found no controllers for pod %q", pod.Name)
		}
		wanted[uid] = n
	}
	for _, n := range wanted {
		total += n
	}
	return total, unmanaged, nil
}

// controllerScale returns what a Pod's controller wants; of a ReplicaSet of a Deployment, what the Deployment does. The
// UID is empty if there is no such controller.
func (c *controller) controllerScale(ctx context.Context, namespace string, ref *metav1.OwnerReference) (types.UID, int, error) {
	switch ref.APIVersion + " " + ref.Kind {
	case "apps/v1 ReplicaSet":
		set, found := index.Get[*appsv1.ReplicaSet](c.sets, namespace, ref.Name)
		if !found || set.UID != ref.UID {
			return "", 0, nil
		}
		if above := metav1.GetControllerOfNoCopy(set); above != nil && above.Kind == "Deployment" {
			d, found := index.Get[*appsv1.Deployment](c.deployments, namespace, above.Name)
			if !found || d.UID != above.UID {
				return "", 0, nil
			}
			return d.UID, int(ptr.Deref(d.Spec.Replicas, 1)), nil
		}
		return set.UID, int(ptr.Deref(set.Spec.Replicas, 1)), nil
	case "apps/v1 StatefulSet":
		set, found := index.Get[*appsv1.StatefulSet](c.statefulSets, namespace, ref.Name)
		if !found || set.UID != ref.UID {
			return "", 0, nil
		}
		return set.UID, int(ptr.Deref(set.Spec.Replicas, 1)), nil
	case "v1 ReplicationController":
		rc, found := index.Get[*corev1.ReplicationController](c.replicationCs, namespace, ref.Name)
		if !found || rc.UID != ref.UID {
			return "", 0, nil
		}
		return rc.UID, int(ptr.Deref(rc.Spec.Replicas, 1)), nil
	}
	return c.subresource(ctx, namespace, ref)
}

// subresource asks the scale subresource of a controller of any other kind.
func (c *controller) subresource(ctx context.Context, namespace string, ref *metav1.OwnerReference) (types.UID, int, error) {
	resources, err := c.client.Discovery().ServerResourcesForGroupVersion(ref.APIVersion)
	if err != nil {
		return "", 0, err
	}
	name, scalable := "", false
	for _, r := range resources.APIResources {
		if r.Kind == ref.Kind && !strings.Contains(r.Name, "/") {
			name = r.Name
		}
	}
	for _, r := range resources.APIResources {
		scalable = scalable || (name != "" && r.Name == name+"/scale")
	}
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return "", 0, err
	}
	if !scalable {
		return "", 0, fmt.Errorf("%s does not implement the scale subresource", gv.WithResource(name).GroupResource())
	}
	scale, err := c.client.Dynamic.Resource(gv.WithResource(name)).Namespace(namespace).Get(ctx, ref.Name, metav1.GetOptions{}, "scale")
	if apierrors.IsNotFound(err) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	n, _, err := unstructured.NestedInt64(scale.Object, "spec", "replicas")
	return ref.UID, int(n), err
}
