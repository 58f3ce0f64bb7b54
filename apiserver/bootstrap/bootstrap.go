// Package bootstrap puts into the API what every cluster has: the system namespaces, priority classes, default roles and
// bindings, how clients of aggregated servers are authenticated, and the "kubernetes" Service with its endpoints.
// It changes only what is missing, so that it may run at every start of every server.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// atOnce is how many writes are under way together: enough that etcd batches them into few fsyncs.
const atOnce = 32

// step is one write or a few, without an order among steps.
type step struct {
	name string
	run  func(ctx context.Context) error
}

// Objects puts the system namespaces, priority classes and the default policy in place. Conflicts with another server that does the same are retried.
func Objects(ctx context.Context, client kubernetes.Interface) error {
	if err := together(ctx, namespaceSteps(client)); err != nil {
		return err
	}
	steps, err := policySteps(ctx, client, DefaultPolicy())
	if err != nil {
		return err
	}
	return together(ctx, append(append(steps, prioritySteps(client)...), trackingStep(client, time.Now)))
}

func together(ctx context.Context, steps []step) error {
	var group sync.WaitGroup
	tokens := make(chan struct{}, atOnce)
	errs := make([]error, len(steps))
	for i, s := range steps {
		tokens <- struct{}{}
		group.Go(func() {
			defer func() { <-tokens }()
			if err := persist(ctx, s.run); err != nil {
				errs[i] = fmt.Errorf("%s: %w", s.name, err)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// persist repeats what failed because somebody else was faster, a few times.
func persist(ctx context.Context, run func(context.Context) error) error {
	var err error
	for range 5 {
		if err = run(ctx); err == nil || !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return err
}

// SystemNamespaces are there from the start and are never deleted (kube-node-lease and the like may be, as upstream allows).
var SystemNamespaces = []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease, metav1.NamespaceDefault}

func namespaceSteps(client kubernetes.Interface) []step {
	var steps []step
	for _, name := range SystemNamespaces {
		steps = append(steps, step{"namespace " + name, func(ctx context.Context) error {
			_, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			if !apierrors.IsNotFound(err) {
				return err
			}
			_, err = client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			return ignoreExists(err)
		}})
	}
	return steps
}

// priorities are those of Pods without which a cluster or a node does not work.
var priorities = []schedulingv1.PriorityClass{
	{
		ObjectMeta: metav1.ObjectMeta{Name: "system-node-critical"}, Value: 2_000_001_000,
		Description: "Used for system critical pods that must not be moved from their current node.",
	},
	{
		ObjectMeta: metav1.ObjectMeta{Name: "system-cluster-critical"}, Value: 2_000_000_000,
		Description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
	},
}

func prioritySteps(client kubernetes.Interface) []step {
	var steps []step
	for _, class := range priorities {
		steps = append(steps, step{"priority class " + class.Name, func(ctx context.Context) error {
			_, err := client.SchedulingV1().PriorityClasses().Get(ctx, class.Name, metav1.GetOptions{})
			if !apierrors.IsNotFound(err) {
				return err
			}
			_, err = client.SchedulingV1().PriorityClasses().Create(ctx, &class, metav1.CreateOptions{})
			return ignoreExists(err)
		}})
	}
	return steps
}

func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
