// Package plugins is the table of the plugins that come with the scheduler.
package plugins

import (
	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins/defaultbinder"
	"github.com/septet-io/septet/scheduler/plugins/defaultpreemption"
	"github.com/septet-io/septet/scheduler/plugins/dynamicresources"
	"github.com/septet-io/septet/scheduler/plugins/imagelocality"
	"github.com/septet-io/septet/scheduler/plugins/interpodaffinity"
	"github.com/septet-io/septet/scheduler/plugins/nodeaffinity"
	"github.com/septet-io/septet/scheduler/plugins/nodedeclaredfeatures"
	"github.com/septet-io/septet/scheduler/plugins/nodename"
	"github.com/septet-io/septet/scheduler/plugins/nodeports"
	"github.com/septet-io/septet/scheduler/plugins/noderesources"
	"github.com/septet-io/septet/scheduler/plugins/nodeunschedulable"
	"github.com/septet-io/septet/scheduler/plugins/podtopologyspread"
	"github.com/septet-io/septet/scheduler/plugins/queuesort"
	"github.com/septet-io/septet/scheduler/plugins/schedulinggates"
	"github.com/septet-io/septet/scheduler/plugins/tainttoleration"
	"github.com/septet-io/septet/scheduler/plugins/volume"
)

// Factory makes a plugin from its defaulted and valid arguments (nil for plugins without).
type Factory func(args any, env *plugin.Env) (plugin.Plugin, error)

// Entry is one plugin in the default profile, in running order.
type Entry struct {
	Name   string
	Weight int32 // of its score; 0 if it has none
	New    Factory
	// Optional plugins run only where a profile names them.
	Optional bool
}

// All lists the plugins in the order in which they run by default. Cheap filters that refuse many nodes go first; preemption comes after
// everything that might make room without evicting anybody.
func All() []Entry {
	return []Entry{
		{Name: schedulinggates.Name, New: plain(schedulinggates.New)},
		{Name: queuesort.Name, New: plain(queuesort.New)},
		{Name: nodeunschedulable.Name, New: plain(nodeunschedulable.New)},
		{Name: nodename.Name, New: plain(nodename.New)},
		{Name: tainttoleration.Name, Weight: 3, New: plain(tainttoleration.New)},
		{Name: nodeaffinity.Name, Weight: 2, New: func(args any, _ *plugin.Env) (plugin.Plugin, error) {
			return nodeaffinity.New(args.(*schedulerv1.NodeAffinityArgs).AddedAffinity), nil
		}},
		{Name: nodeports.Name, New: plain(nodeports.New)},
		{Name: noderesources.FitName, Weight: 1, New: func(args any, env *plugin.Env) (plugin.Plugin, error) {
			return noderesources.NewFit(args.(*schedulerv1.NodeResourcesFitArgs), env.IgnoredResources), nil
		}},
		{Name: volume.RestrictionsName, New: plain(volume.NewRestrictions)},
		{Name: volume.LimitsName, New: plain(volume.NewLimits)},
		{Name: volume.BindingName, Weight: 1, New: func(args any, env *plugin.Env) (plugin.Plugin, error) {
			return volume.NewBinding(args.(*schedulerv1.VolumeBindingArgs), env)
		}},
		{Name: volume.ZoneName, New: plain(volume.NewZone)},
		{Name: podtopologyspread.Name, Weight: 2, New: func(args any, _ *plugin.Env) (plugin.Plugin, error) {
			a := args.(*schedulerv1.PodTopologySpreadArgs)
			if a.DefaultingType == schedulerv1.SystemDefaulting {
				return podtopologyspread.New(podtopologyspread.SystemDefaults, true), nil
			}
			return podtopologyspread.New(a.DefaultConstraints, false), nil
		}},
		{Name: interpodaffinity.Name, Weight: 2, New: func(args any, _ *plugin.Env) (plugin.Plugin, error) {
			a := args.(*schedulerv1.InterPodAffinityArgs)
			return interpodaffinity.New(*a.HardPodAffinityWeight, a.IgnorePreferredTermsOfExistingPods), nil
		}},
		{Name: dynamicresources.Name, Weight: 2, New: func(args any, env *plugin.Env) (plugin.Plugin, error) {
			return dynamicresources.New(args.(*schedulerv1.DynamicResourcesArgs), env)
		}},
		{Name: defaultpreemption.Name, New: func(args any, env *plugin.Env) (plugin.Plugin, error) {
			return defaultpreemption.New(args.(*schedulerv1.DefaultPreemptionArgs), env), nil
		}},
		{Name: noderesources.BalancedName, Weight: 1, New: func(args any, _ *plugin.Env) (plugin.Plugin, error) {
			return noderesources.NewBalanced(args.(*schedulerv1.NodeResourcesBalancedAllocationArgs)), nil
		}},
		{Name: imagelocality.Name, Weight: 1, New: plain(imagelocality.New)},
		{Name: defaultbinder.Name, New: func(_ any, env *plugin.Env) (plugin.Plugin, error) { return defaultbinder.New(env.Bind), nil }},
		{Name: nodedeclaredfeatures.Name, New: plain(nodedeclaredfeatures.New)},
	}
}

func plain[P plugin.Plugin](make func() P) Factory {
	return func(any, *plugin.Env) (plugin.Plugin, error) { return make(), nil }
}
