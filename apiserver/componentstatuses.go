package apiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/store"
)

var (
	componentStatuses = schema.GroupVersionResource{Version: "v1", Resource: "componentstatuses"}
	leases            = coordinationv1.SchemeGroupVersion.WithResource("leases")
)

// components are ComponentStatuses: not stored, but looked up whenever somebody asks. Upstream asks ports of its own machine; a lease
// tells as much, wherever the component runs.
type components struct {
	store.Store // of the kind, which is empty
	all         []component
}

// component is one of them, by name. check returns why it is not healthy.
type component struct {
	name  string
	check func(context.Context) error
}

// componentStatuses puts components in the place of a Store that nobody writes to.
func (s *Server) componentStatuses(open func() store.Store) func() store.Store {
	return func() store.Store {
		return &components{Store: open(), all: []component{
			{"controller-manager", s.leads("kube-controller-manager")},
			{"etcd-0", s.etcdHealth(s.config.HealthTimeout)},
			{"scheduler", s.leads("kube-scheduler")},
		}}
	}
}

// leads returns a check whether somebody holds a lease and has renewed it in time.
func (s *Server) leads(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		served := s.Resources.Get(leases)
		if served == nil {
			return errors.New("leases are not served, which tell of it")
		}
		item, err := served.Open().Get(ctx, store.Key{Namespace: metav1.NamespaceSystem, Name: name}, "")
		if err != nil {
			return err
		}
		spec := &item.Object.(*coordinationv1.Lease).Spec
		if spec.HolderIdentity == nil || *spec.HolderIdentity == "" || spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
			return fmt.Errorf("nobody holds the lease %s/%s", metav1.NamespaceSystem, name)
		}
		if age := time.Since(spec.RenewTime.Time); age > time.Duration(*spec.LeaseDurationSeconds)*time.Second {
			return fmt.Errorf("%s renewed its lease %s ago", *spec.HolderIdentity, age.Round(time.Second))
		}
		return nil
	}
}

// Get is store.Store.
func (c *components) Get(ctx context.Context, key store.Key, _ string) (*store.Item, error) {
	for i := range c.all {
		if c.all[i].name == key.Name {
			return c.all[i].status(ctx), nil
		}
	}
	return nil, apierrors.NewNotFound(componentStatuses.GroupResource(), key.Name)
}

// List is store.Store. There is one page, and no revision.
func (c *components) List(ctx context.Context, query store.Query) (*store.Page, error) {
	page := &store.Page{}
	for i := range c.all {
		name := c.all[i].name
		switch {
		case query.Name != "" && query.Name != name:
		case query.Labels != nil && !query.Labels.Matches(labels.Set{}):
		case query.Fields != nil && !query.Fields.Matches(fields.Set{"metadata.name": name}):
		default:
			page.Items = append(page.Items, c.all[i].status(ctx))
		}
	}
	return page, nil
}

func (c *component) status(ctx context.Context) *store.Item {
	condition := corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue, Message: "ok"}
	if err := c.check(ctx); err != nil {
		condition.Status, condition.Message = corev1.ConditionFalse, err.Error()
	}
	return &store.Item{Key: store.Key{Name: c.name}, Object: &corev1.ComponentStatus{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ComponentStatus"},
		ObjectMeta: metav1.ObjectMeta{Name: c.name}, Conditions: []corev1.ComponentCondition{condition},
	}}
}
