package aggregate

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/septet-io/septet/reconcile"
	"github.com/septet-io/septet/resource"
)

// checkEvery is how often a server is asked whether it is there: nothing else tells that it has gone away.
const checkEvery = 30 * time.Second

// availability is the loop that keeps the condition Available true to life, and what is known of a server's resources.
func (a *Aggregator) availability() reconcile.Controller {
	return reconcile.Controller{
		Name: "available-controller", Queue: "AvailableConditionController", Kind: "APIService", Workers: 5,
		Backoff: reconcile.Backoff{Base: 5 * time.Millisecond, Max: checkEvery},
		Watches: []reconcile.Watch{{Informer: a.apiServices, Keys: reconcile.Of(func(old, obj *apiregistrationv1.APIService) []reconcile.Key {
			if old != nil && obj != nil && reflect.DeepEqual(old.Spec, obj.Spec) && len(obj.Status.Conditions) > 0 {
				return nil // what this very loop has written
			}
			if obj == nil {
				obj = old
			}
			return []reconcile.Key{{Name: obj.Name}}
		})}},
		Start: func(_ context.Context, enqueue func(reconcile.Key)) error {
			a.ask = enqueue
			return nil
		},
		Reconcile: a.reconcileAvailability,
	}
}

func (a *Aggregator) reconcileAvailability(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	found, exists, err := a.apiServices.GetStore().GetByKey(key.Name)
	if err != nil || !exists {
		forgetAvailability(key.Name)
		return reconcile.Result{}, err
	}
	obj := found.(*apiregistrationv1.APIService)
	if obj.Spec.Service == nil {
		return reconcile.Result{}, a.report(ctx, obj, localCondition)
	}
	a.follow.Do(func() { a.followServices(ctx) })
	r := a.remotes()[groupVersion(obj)]
	if r == nil || !r.serves(obj) {
		r, _ = newRemote(a, obj) // not in the table: this cluster itself, or just on the way; a broken one says so when asked
		defer r.close()
	}
	condition := a.check(ctx, r)
	if condition.Status == apiregistrationv1.ConditionTrue {
		r.learn(ctx)
	} else {
		r.stale()
	}
	if err := a.report(ctx, obj, condition); err != nil {
		return reconcile.Result{}, err
	}
	if condition.Reason == "FailedDiscoveryCheck" {
		return reconcile.Result{}, reconcile.Wait("%s", condition.Message)
	}
	return reconcile.Result{After: checkEvery}, nil
}

// condition is a state of Available; its time is set when it is written.
func condition(status apiregistrationv1.ConditionStatus, reason, message string, args ...any) apiregistrationv1.APIServiceCondition {
	return apiregistrationv1.APIServiceCondition{
		Type: apiregistrationv1.Available, Status: status, Reason: reason, Message: fmt.Sprintf(message, args...),
	}
}

var localCondition = condition(apiregistrationv1.ConditionTrue, "Local", "Local APIServices are always available")

// check looks at a server's Service and endpoints, then asks the server.
func (a *Aggregator) check(ctx context.Context, r *remote) apiregistrationv1.APIServiceCondition {
	ref := r.spec.Service
	service, err := a.service(ctx, ref)
	if apierrors.IsNotFound(err) {
		return condition(apiregistrationv1.ConditionFalse, "ServiceNotFound", "service/%s in %q is not present", ref.Name, ref.Namespace)
	}
	if err != nil {
		return condition(apiregistrationv1.ConditionUnknown, "ServiceAccessError", "service/%s in %q cannot be checked due to: %v", ref.Name, ref.Namespace, err)
	}
	if service.Spec.Type == corev1.ServiceTypeClusterIP {
		found, err := a.slices(ctx, ref)
		if err != nil {
			return condition(apiregistrationv1.ConditionUnknown, "EndpointsAccessError", "service/%s in %q cannot be checked due to: %v", ref.Name, ref.Namespace, err)
		}
		if missing := missingEndpoints(ref, service, found); missing != nil {
			return *missing
		}
	}
	if err := r.probe(ctx); err != nil {
		return condition(apiregistrationv1.ConditionFalse, "FailedDiscoveryCheck", "%v", err)
	}
	return condition(apiregistrationv1.ConditionTrue, "Passed", "all checks passed")
}

// missingEndpoints is what a Service lacks to lead to a server, nil if nothing.
func missingEndpoints(ref *apiregistrationv1.ServiceReference, service *corev1.Service, found []*discoveryv1.EndpointSlice) *apiregistrationv1.APIServiceCondition {
	is := func(reason, message string, args ...any) *apiregistrationv1.APIServiceCondition {
		c := condition(apiregistrationv1.ConditionFalse, reason, message, args...)
		return &c
	}
	port, err := servicePort(service, portOf(ref))
	if err != nil {
		return is("ServicePortError", "service/%s in %q is not listening on port %d", ref.Name, ref.Namespace, portOf(ref))
	}
	if len(found) == 0 {
		return is("EndpointsNotFound", "cannot find endpointslices for service/%s in %q", ref.Name, ref.Namespace)
	}
	for _, slice := range found {
		if len(readyAt(slice, port.Name)) > 0 {
			return nil
		}
	}
	return is("MissingEndpoints", "endpointslices for service/%s in %q have no addresses with port name %q", ref.Name, ref.Namespace, port.Name)
}

// probes is how many requests are made at once to find out whether a server is there: one answer is enough.
const probes = 5

// aggregatorUser may ask any server for what it serves.
var aggregatorUser = resource.User{Name: "system:kube-aggregator", Groups: []string{"system:masters"}}

// probe asks the server for a document that it must have.
func (r *remote) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	results := make(chan error, probes)
	for range probes {
		go func() { results <- r.probeOnce(ctx) }()
	}
	var err error
	for range probes {
		if err = <-results; err == nil {
			return nil
		}
	}
	if r.plain != nil {
		r.plain.CloseIdleConnections()
	}
	return err
}

func (r *remote) probeOnce(ctx context.Context) error {
	if r.broken != nil {
		return r.broken
	}
	location, err := r.owner.resolve(ctx, r.spec.Service)
	if err != nil {
		return err
	}
	path := "/apis/" + r.spec.Group + "/" + r.spec.Version
	if r.spec.Group == "" {
		path = "/api/" + r.spec.Version
	}
	shown := *location
	shown.Path = path
	answer, err := r.getAt(ctx, location, path, aggregatorUser, nil)
	if err == nil {
		answer.Body.Close()
		if answer.StatusCode < http.StatusOK || answer.StatusCode >= http.StatusMultipleChoices {
			err = fmt.Errorf("bad status from %v: %d", &shown, answer.StatusCode)
		}
	}
	if err != nil {
		return fmt.Errorf("failing or missing response from %v: %w", &shown, err)
	}
	return nil
}

func isAvailable(obj *apiregistrationv1.APIService) bool {
	c := availableOf(obj)
	return c != nil && c.Status == apiregistrationv1.ConditionTrue
}

func availableOf(obj *apiregistrationv1.APIService) *apiregistrationv1.APIServiceCondition {
	for i := range obj.Status.Conditions {
		if obj.Status.Conditions[i].Type == apiregistrationv1.Available {
			return &obj.Status.Conditions[i]
		}
	}
	return nil
}

// report writes the condition, if it has changed.
func (a *Aggregator) report(ctx context.Context, obj *apiregistrationv1.APIService, now apiregistrationv1.APIServiceCondition) error {
	measureAvailability(obj.Name, now)
	before := availableOf(obj)
	if before != nil && before.Status == now.Status && before.Reason == now.Reason && before.Message == now.Message {
		return nil
	}
	changed := obj.DeepCopy()
	if before != nil && before.Status == now.Status {
		now.LastTransitionTime = before.LastTransitionTime
	} else {
		now.LastTransitionTime = metav1.Now()
	}
	if c := availableOf(changed); c != nil {
		*c = now
	} else {
		changed.Status.Conditions = append(changed.Status.Conditions, now)
	}
	klog.FromContext(ctx).V(2).Info("Changing APIService availability", "apiService", obj.Name, "status", now.Status, "reason", now.Reason, "message", now.Message)
	if err := a.updateStatus(ctx, changed); err != nil {
		return ignoreGone(err)
	}
	if before == nil || before.Status != now.Status {
		countUnavailable(obj.Name, now)
	}
	return nil
}
