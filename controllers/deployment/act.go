package deployment

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// act carries a plan out. What fails is decided about anew next turn, from what is there then.
func (c *controller) act(ctx context.Context, d *appsv1.Deployment, plan Plan) error {
	if plan.Create != nil {
		if done, err := c.create(ctx, d, plan.Create); err != nil || !done {
			return err
		}
	}
	for _, change := range plan.Change {
		if err := c.change(ctx, d, change); err != nil {
			return err
		}
	}
	for _, rs := range plan.Delete {
		err := c.client.AppsV1().ReplicaSets(rs.Namespace).Delete(ctx, rs.Name, *metav1.NewPreconditionDeleteOptions(string(rs.UID)))
		if gone(err) != nil {
			return err
		}
		reconcile.Note(ctx, journal.Record{Step: "delete", Kind: "ReplicaSet", Namespace: rs.Namespace, Name: rs.Name, UID: rs.UID})
	}
	return c.report(ctx, d, plan.Revision, plan.Status)
}

// create creates the ReplicaSet of a new template. The rest of the plan holds only if it reports done.
func (c *controller) create(ctx context.Context, d *appsv1.Deployment, rs *appsv1.ReplicaSet) (done bool, err error) {
	made, err := c.client.AppsV1().ReplicaSets(d.Namespace).Create(ctx, rs, metav1.CreateOptions{})
	switch {
	case err == nil:
		reconcile.Note(ctx, journal.Record{Step: "create", Kind: "ReplicaSet", Namespace: made.Namespace, Name: made.Name, UID: made.UID, Made: made.ResourceVersion})
		if size := *rs.Spec.Replicas; size > 0 {
			c.events.Event(d, corev1.EventTypeNormal, "ScalingReplicaSet", describe(rs.Name, 0, size))
		}
		return true, nil
	case apierrors.IsAlreadyExists(err):
		return false, c.collided(ctx, d, rs, err)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return false, nil // every creation fails there; the Deployment will go too
	}
	message := fmt.Sprintf("Failed to create new replica set %q: %v", rs.Name, err)
	c.events.Event(d, corev1.EventTypeWarning, "ReplicaSetCreateError", message)
	status := *d.Status.DeepCopy()
	if r := (&rollout{d: d, now: time.Now()}); r.hasDeadline() {
		setCondition(&status, r.condition(appsv1.DeploymentProgressing, corev1.ConditionFalse, "ReplicaSetCreateError", message))
		if failed := c.report(ctx, d, "", status); failed != nil {
			return false, failed
		}
	}
	return false, err
}

// collided handles a ReplicaSet of that name that the cache did not show. If it is ours, made by an earlier turn, the cache will
// show it. Otherwise another template has the same hash: counting the collision gives the next try another name.
func (c *controller) collided(ctx context.Context, d *appsv1.Deployment, rs *appsv1.ReplicaSet, conflict error) error {
	there, err := c.client.AppsV1().ReplicaSets(rs.Namespace).Get(ctx, rs.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	ref := metav1.GetControllerOfNoCopy(there)
	if ref != nil && ref.UID == d.UID && SameTemplate(&there.Spec.Template, &d.Spec.Template) {
		return conflict
	}
	status := *d.Status.DeepCopy()
	count := int32(1)
	if status.CollisionCount != nil {
		count += *status.CollisionCount
	}
	status.CollisionCount = &count
	if err := c.report(ctx, d, "", status); err != nil {
		return err
	}
	return conflict
}

// change resizes or annotates one ReplicaSet.
func (c *controller) change(ctx context.Context, d *appsv1.Deployment, change Change) error {
	rs := change.Set.DeepCopy()
	from := *rs.Spec.Replicas
	rs.Spec.Replicas, rs.Spec.MinReadySeconds, rs.Annotations = &change.Replicas, change.MinReadySeconds, change.Annotations
	made, err := c.client.AppsV1().ReplicaSets(rs.Namespace).Update(ctx, rs, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	note := "annotations"
	if from != change.Replicas {
		note = describe(rs.Name, from, change.Replicas)
		c.events.Event(d, corev1.EventTypeNormal, "ScalingReplicaSet", note)
	}
	reconcile.Note(ctx, journal.Record{Step: "update", Kind: "ReplicaSet", Namespace: rs.Namespace, Name: rs.Name, UID: rs.UID, Made: made.ResourceVersion, Note: note})
	return nil
}

// report writes status and revision, if either differs. The API takes both in one write, to the status subresource.
func (c *controller) report(ctx context.Context, d *appsv1.Deployment, revision string, status appsv1.DeploymentStatus) error {
	sameRevision := revision == "" || d.Annotations[RevisionAnnotation] == revision
	if sameRevision && equality.Semantic.DeepEqual(d.Status, status) {
		return nil
	}
	updated := *d // shallow: what is changed below is replaced whole
	updated.Status = status
	if !sameRevision {
		updated.Annotations = with(d.Annotations, RevisionAnnotation, revision)
	}
	_, err := c.client.AppsV1().Deployments(d.Namespace).UpdateStatus(ctx, &updated, metav1.UpdateOptions{})
	return gone(err)
}
