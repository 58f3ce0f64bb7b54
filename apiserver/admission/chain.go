package admission

import (
	"context"
	"slices"
	"time"
)

// Chain is all plug-ins in running order. The zero value admits everything. Built once, then read only.
type Chain struct {
	Plugins []Plugin
	// Observe, when set, is told how long each plug-in took and whether it refused: for metrics. phase is "admit" or "validate"; plugin
	// is empty for all of a phase.
	Observe func(plugin, phase string, a *Attributes, took time.Duration, err error)
}

// Admit lets each plug-in change the object; the first error ends it. If one asks for it all run again, once.
func (c *Chain) Admit(ctx context.Context, a *Attributes) error {
	return c.phase(ctx, "admit", a, c.admitAll)
}

// Validate lets each plug-in refuse; the first error ends it.
func (c *Chain) Validate(ctx context.Context, a *Attributes) error {
	return c.phase(ctx, "validate", a, c.validateAll)
}

func (c *Chain) phase(ctx context.Context, name string, a *Attributes, f func(context.Context, *Attributes) error) error {
	if c.Observe == nil {
		return f(ctx, a)
	}
	start := time.Now()
	err := f(ctx, a)
	c.Observe("", name, a, time.Since(start), err)
	return err
}

func (c *Chain) admitAll(ctx context.Context, a *Attributes) error {
	if err := c.admit(ctx, a); err != nil || !a.again {
		return err
	}
	a.Round, a.again = 1, false
	return c.admit(ctx, a)
}

func (c *Chain) admit(ctx context.Context, a *Attributes) error {
	for i := range c.Plugins {
		if err := c.step(ctx, &c.Plugins[i], c.Plugins[i].Admit, "admit", a); err != nil {
			return err
		}
	}
	return nil
}

func (c *Chain) validateAll(ctx context.Context, a *Attributes) error {
	for i := range c.Plugins {
		if err := c.step(ctx, &c.Plugins[i], c.Plugins[i].Validate, "validate", a); err != nil {
			return err
		}
	}
	return nil
}

func (c *Chain) step(ctx context.Context, p *Plugin, f func(context.Context, *Attributes) error, phase string, a *Attributes) error {
	if f == nil || len(p.Handles) > 0 && !slices.Contains(p.Handles, a.Operation) {
		return nil
	}
	a.plugin = p.Name
	if c.Observe == nil {
		return f(ctx, a)
	}
	start := time.Now()
	err := f(ctx, a)
	c.Observe(p.Name, phase, a, time.Since(start), err)
	return err
}
