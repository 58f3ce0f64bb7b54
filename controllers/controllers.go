// Package controllers is the kube-controller-manager: the control loops that bring a cluster's state to what its
// objects ask for. all.go is the table of them; each has a folder of its own.
package controllers

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/reconcile"
)

// component is the name of the process in the journal, in events and as client.
const component = "kube-controller-manager"

// Run runs the selected controllers until ctx ends, then waits until they have stopped. With an Election they run only
// while this process leads; informers keep running through a lost lease, since other components may
// share them. Errors: a Config that is not valid, or a controller that could not be built.
func Run(ctx context.Context, config Config) error {
	if config.Clients == nil {
		return errors.New("controllers: no clients")
	}
	if err := checkSelection(config.Controllers); err != nil {
		return err
	}
	metrics := reconcile.NewMetrics()
	if config.Metrics != nil {
		if err := config.Metrics.Register(metrics); err != nil {
			return fmt.Errorf("controllers: %w", err)
		}
		defer config.Metrics.Unregister(metrics)
	}
	runner := reconcile.Runner{Component: component, Journal: config.Journal, Metrics: metrics}
	var failed error
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	work := func(leading context.Context) {
		if err := run(ctx, leading, &config, runner); err != nil {
			failed = err
			stop() // built from the same configuration it would fail again
		}
	}
	if config.Election == nil {
		work(ctx)
		return failed
	}
	return errors.Join(reconcile.Lead(ctx, *config.Election, work), failed)
}

// run builds all controllers and runs them until leading ends. Informers are started for ctx, which may outlive it.
func run(ctx, leading context.Context, config *Config, runner reconcile.Runner) error {
	broadcaster := record.NewBroadcaster(record.WithContext(leading))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: config.Clients.CoreV1().Events("")})
	built, err := build(config, broadcaster)
	if err != nil {
		return err
	}
	config.Clients.Informers.StartWithContext(ctx)
	config.Clients.MetadataInformers.Start(ctx.Done())
	return runner.Run(leading, built...)
}

func build(config *Config, broadcaster record.EventBroadcaster) ([]reconcile.Controller, error) {
	var built []reconcile.Controller
	for i := range all {
		entry := &all[i]
		if !entry.enabled(config.Controllers) {
			continue
		}
		set, err := config.identity(entry.Account)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name, err)
		}
		env := &Env{Set: set, Config: config, Workers: entry.Workers, Events: func(component string) record.EventRecorder {
			return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
		}}
		if n := config.Workers[entry.Name]; n > 0 {
			env.Workers = n
		}
		made, err := entry.New(env)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name, err)
		}
		if len(made) == 0 {
			klog.V(1).InfoS("Controller has nothing to do with this configuration", "controller", entry.Name)
		}
		built = append(built, made...)
	}
	return built, nil
}

// identity returns the Set of a service account.
func (c *Config) identity(account string) (*client.Set, error) {
	if c.As == nil || account == "" {
		return c.Clients, nil
	}
	return c.As(account)
}
