package flow

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	applyv1 "k8s.io/client-go/applyconfigurations/flowcontrol/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// The field managers of what is written: objects that every cluster has, and conditions.
const (
	producer = "api-priority-and-fairness-config-producer-v1"
	consumer = "api-priority-and-fairness-config-consumer-v1"
)

// keeper keeps a Fairness and the API's objects in line with each other.
type keeper struct {
	*Fairness
	set     *client.Set
	levels  cache.SharedIndexInformer
	schemas cache.SharedIndexInformer
	ready   sync.Once
	isReady chan struct{}
}

// Run follows the API's objects until ctx ends: it puts those that every cluster has in place, takes over what they say, and tells in
// their conditions what does not fit. ready is closed when that has been done once. The caller starts the set's informers.
func (f *Fairness) Run(ctx context.Context, set *client.Set, ring *journal.Ring, ready chan struct{}) error {
	k := &keeper{Fairness: f, set: set, isReady: ready}
	k.levels = set.Informers.Flowcontrol().V1().PriorityLevelConfigurations().Informer()
	k.schemas = set.Informers.Flowcontrol().V1().FlowSchemas().Informer()
	set.Informers.Start(ctx.Done())
	one := func(any, any) []reconcile.Key { return []reconcile.Key{{Name: "configuration"}} }
	go f.adjustUntil(ctx)
	return reconcile.Runner{Component: "kube-apiserver", Journal: ring}.Run(ctx, reconcile.Controller{
		Name: "priority-and-fairness", Queue: "priority_and_fairness_config_queue", Kind: "FlowSchema",
		Watches: []reconcile.Watch{{Informer: k.levels, Keys: one}, {Informer: k.schemas, Keys: one}},
		Start: func(_ context.Context, enqueue func(reconcile.Key)) error {
			enqueue(reconcile.Key{Name: "configuration"})
			return nil
		},
		Reconcile: k.reconcile,
	})
}

func (k *keeper) reconcile(ctx context.Context, _ reconcile.Key) (reconcile.Result, error) {
	levels, schemas := all[*flowcontrolv1.PriorityLevelConfiguration](k.levels), all[*flowcontrolv1.FlowSchema](k.schemas)
	k.digest(levels, schemas)
	err := errors.Join(k.ensure(ctx, levels, schemas), k.tell(ctx, levels, schemas))
	if err == nil {
		k.ready.Do(func() { close(k.isReady) })
	}
	return reconcile.Result{}, err
}

func all[T any](informer cache.SharedIndexInformer) []T {
	var found []T
	for _, one := range informer.GetStore().List() {
		if obj, ok := one.(T); ok {
			found = append(found, obj)
		}
	}
	return found
}

// ensure puts the objects in place that every cluster has, and removes those of ours that no cluster has any more.
func (k *keeper) ensure(ctx context.Context, haveLevels []*flowcontrolv1.PriorityLevelConfiguration, haveSchemas []*flowcontrolv1.FlowSchema) error {
	api := k.set.FlowcontrolV1()
	create, update := metav1.CreateOptions{FieldManager: producer}, metav1.UpdateOptions{FieldManager: producer}
	var writes []func() error
	plan(levels(), haveLevels, mandatoryLevels(), sameLevel, func(wanted, have *flowcontrolv1.PriorityLevelConfiguration) {
		writes = append(writes, func() (err error) {
			switch {
			case have == nil:
				_, err = api.PriorityLevelConfigurations().Create(ctx, wanted, create)
			case wanted == nil:
				err = api.PriorityLevelConfigurations().Delete(ctx, have.Name, metav1.DeleteOptions{})
			default:
				have.Spec = wanted.Spec
				_, err = api.PriorityLevelConfigurations().Update(ctx, have, update)
			}
			return err
		})
	})
	plan(schemas(), haveSchemas, mandatorySchemas(), sameSchema, func(wanted, have *flowcontrolv1.FlowSchema) {
		writes = append(writes, func() (err error) {
			switch {
			case have == nil:
				_, err = api.FlowSchemas().Create(ctx, wanted, create)
			case wanted == nil:
				err = api.FlowSchemas().Delete(ctx, have.Name, metav1.DeleteOptions{})
			default:
				have.Spec = wanted.Spec
				_, err = api.FlowSchemas().Update(ctx, have, update)
			}
			return err
		})
	})
	return together(writes)
}

// together makes all writes at once, so that they share etcd's syncs. Who was faster brings the object back by its event.
func together(writes []func() error) error {
	errs := make([]error, len(writes))
	var running sync.WaitGroup
	for i, write := range writes {
		running.Go(func() {
			if err := write(); !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				errs[i] = err
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// object is what both kinds have.
type object[T any] interface {
	comparable
	metav1.Object
	runtime.Object
	DeepCopy() T
}

// plan compares what every cluster has with what is there, and calls write for each difference: with wanted alone to create, have alone to
// remove, or both, have a copy with its annotation as it should be, to update. A wanted that equals have's spec is have's own.
func plan[T object[T]](wanted, have, mandatory []T, same func(wanted, have T) (T, bool), write func(wanted, have T)) {
	var none T
	there, needed, named := map[string]T{}, map[string]bool{}, map[string]bool{}
	for _, one := range have {
		there[one.GetName()] = one
	}
	for _, one := range mandatory {
		needed[one.GetName()] = true
	}
	for _, one := range wanted {
		named[one.GetName()] = true
		current, exists := there[one.GetName()]
		if !exists {
			write(one, none)
			continue
		}
		keep := needed[one.GetName()] || keeps(current)
		spec, equal := same(one, current)
		marked, err := strconv.ParseBool(current.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey])
		if (err == nil && marked == keep) && (equal || !keep) {
			continue
		}
		changed := current.DeepCopy()
		annotations := changed.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[flowcontrolv1.AutoUpdateAnnotationKey] = strconv.FormatBool(keep)
		changed.SetAnnotations(annotations)
		if !keep {
			spec = changed
		}
		write(spec, changed)
	}
	for _, one := range have {
		if marked, err := strconv.ParseBool(one.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey]); err == nil && marked && !named[one.GetName()] {
			write(none, one)
		}
	}
}

// keeps says whether an object's spec is kept as it was suggested: its annotation decides, and without one whether anybody has changed it.
func keeps(obj metav1.Object) bool {
	if marked, err := strconv.ParseBool(obj.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey]); err == nil {
		return marked
	}
	return obj.GetGeneration() == 1
}

// sameLevel: the exempt level's shares are everybody's to choose.
func sameLevel(wanted, have *flowcontrolv1.PriorityLevelConfiguration) (*flowcontrolv1.PriorityLevelConfiguration, bool) {
	if wanted.Spec.Exempt != nil && have.Spec.Exempt != nil {
		wanted = wanted.DeepCopy()
		wanted.Spec.Exempt = have.Spec.Exempt
	}
	return wanted, equality.Semantic.DeepEqual(wanted.Spec, have.Spec)
}

func sameSchema(wanted, have *flowcontrolv1.FlowSchema) (*flowcontrolv1.FlowSchema, bool) {
	return wanted, equality.Semantic.DeepEqual(wanted.Spec, have.Spec)
}

// tell writes into the condition Dangling of each schema whether its level is there.
func (k *keeper) tell(ctx context.Context, levels []*flowcontrolv1.PriorityLevelConfiguration, schemas []*flowcontrolv1.FlowSchema) error {
	there := map[string]bool{}
	for _, one := range append(mandatoryLevels(), levels...) {
		there[one.Name] = sound(one)
	}
	var writes []func() error
	for _, object := range schemas {
		wanted := dangling(object, there[object.Spec.PriorityLevelConfiguration.Name])
		if wanted == nil {
			continue
		}
		writes = append(writes, func() error {
			status := applyv1.FlowSchema(object.Name).WithStatus(applyv1.FlowSchemaStatus().WithConditions(wanted))
			_, err := k.set.FlowcontrolV1().FlowSchemas().ApplyStatus(ctx, status, metav1.ApplyOptions{FieldManager: consumer, Force: true})
			return err
		})
	}
	return together(writes)
}

// dangling is the condition that a schema should have; nil if it has it.
func dangling(object *flowcontrolv1.FlowSchema, found bool) *applyv1.FlowSchemaConditionApplyConfiguration {
	name := object.Spec.PriorityLevelConfiguration.Name
	status, reason := flowcontrolv1.ConditionFalse, "Found"
	message := fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists", name)
	if !found {
		status, reason = flowcontrolv1.ConditionTrue, "NotFound"
		message = fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q but there is no such object", name)
	}
	for _, c := range object.Status.Conditions {
		if c.Type == flowcontrolv1.FlowSchemaConditionDangling && c.Status == status && c.Reason == reason && c.Message == message {
			return nil
		}
	}
	return applyv1.FlowSchemaCondition().WithType(flowcontrolv1.FlowSchemaConditionDangling).WithStatus(status).
		WithReason(reason).WithMessage(message).WithLastTransitionTime(metav1.Now())
}
