package profile

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/scheduler/config"
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins"
)

// maxTotalWeight keeps sums of weighted scores well inside 64 bits.
const maxTotalWeight = 1 << 40

// Build makes the profiles of a valid configuration from the plugins in the table. It returns every mistake at once.
func Build(c *schedulerv1.KubeSchedulerConfiguration, table []plugins.Entry, env *plugin.Env) (map[string]*Profile, error) {
	profiles := map[string]*Profile{}
	var errs field.ErrorList
	sortBy := ""
	for i := range c.Profiles {
		b := builder{config: &c.Profiles[i], table: table, env: env, made: map[string]plugin.Plugin{}, path: field.NewPath("profiles").Index(i)}
		p := b.build()
		p.Percentage = *c.PercentageOfNodesToScore
		if own := c.Profiles[i].PercentageOfNodesToScore; own != nil {
			p.Percentage = *own
		}
		errs = append(errs, b.errs...)
		if p.QueueSort != nil {
			if sortBy == "" {
				sortBy = p.QueueSort.Name()
			} else if sortBy != p.QueueSort.Name() {
				errs = append(errs, field.Invalid(b.path.Child("plugins", "queueSort"), p.QueueSort.Name(), "has to match for all profiles"))
			}
		}
		profiles[p.Name] = p
	}
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return profiles, nil
}

type builder struct {
	config *schedulerv1.KubeSchedulerProfile
	table  []plugins.Entry
	env    *plugin.Env
	made   map[string]plugin.Plugin
	path   *field.Path
	errs   field.ErrorList
}

// choice is a plugin at an extension point.
type choice struct {
	plugin plugin.Plugin
	weight int64
}

func (b *builder) build() *Profile {
	p := &Profile{Name: *b.config.SchedulerName, Events: map[string][]plugin.EventHint{}}
	sets := b.config.Plugins
	if sets == nil {
		sets = &schedulerv1.Plugins{}
	}
	multi := b.multiPoint(&sets.MultiPoint)
	p.PreEnqueue = at[plugin.PreEnqueue](b, "preEnqueue", &sets.PreEnqueue, multi)
	if sorts := at[plugin.QueueSort](b, "queueSort", &sets.QueueSort, multi); len(sorts) == 1 {
		p.QueueSort = sorts[0]
	} else {
		b.errs = append(b.errs, field.Invalid(b.path.Child("plugins", "queueSort"), len(sorts), "exactly one queue sort plugin must be enabled"))
	}
	p.PreFilters = at[plugin.PreFilter](b, "preFilter", &sets.PreFilter, multi)
	for _, c := range b.choose("filter", &sets.Filter, multi, isFilter) {
		f := Filter{Name: c.plugin.Name()}
		if f.Columns, _ = c.plugin.(plugin.FilterColumns); f.Columns == nil {
			f.PerPod = c.plugin.(plugin.Filter)
		}
		p.Filters = append(p.Filters, f)
	}
	p.PostFilter = at[plugin.PostFilter](b, "postFilter", &sets.PostFilter, multi)
	p.PreScores = at[plugin.PreScore](b, "preScore", &sets.PreScore, multi)
	p.Scores = b.scores(&sets.Score, multi)
	p.Reserve = at[plugin.Reserve](b, "reserve", &sets.Reserve, multi)
	p.Permit = at[plugin.Permit](b, "permit", &sets.Permit, multi)
	p.PreBind = at[plugin.PreBind](b, "preBind", &sets.PreBind, multi)
	if p.Bind = at[plugin.Bind](b, "bind", &sets.Bind, multi); len(p.Bind) == 0 {
		b.errs = append(b.errs, field.Required(b.path.Child("plugins", "bind"), "at least one bind plugin is needed"))
	}
	p.PostBind = at[plugin.PostBind](b, "postBind", &sets.PostBind, multi)
	for name, made := range b.made {
		if e, ok := made.(plugin.Events); ok {
			p.Events[name] = e.Events()
		}
	}
	b.unknownConfigs()
	return p
}

func (b *builder) scores(set *schedulerv1.PluginSet, multi []choice) (scores []Score) {
	total := int64(0)
	for _, c := range b.choose("score", set, multi, isScore) {
		s := Score{Name: c.plugin.Name(), Weight: c.weight}
		if s.Weight == 0 {
			s.Weight = 1
		}
		if s.Columns, _ = c.plugin.(plugin.ScoreColumns); s.Columns == nil {
			s.PerPod = c.plugin.(plugin.Score)
		}
		total += s.Weight
		scores = append(scores, s)
	}
	if total > maxTotalWeight {
		b.errs = append(b.errs, field.Invalid(b.path.Child("plugins", "score"), total, "the sum of all weights overflows"))
	}
	return scores
}

func isFilter(p plugin.Plugin) bool {
	_, columns := p.(plugin.FilterColumns)
	_, perPod := p.(plugin.Filter)
	return columns || perPod
}

func isScore(p plugin.Plugin) bool {
	_, columns := p.(plugin.ScoreColumns)
	_, perPod := p.(plugin.Score)
	return columns || perPod
}

func at[P plugin.Plugin](b *builder, point string, set *schedulerv1.PluginSet, multi []choice) (list []P) {
	for _, c := range b.choose(point, set, multi, func(p plugin.Plugin) bool { _, ok := p.(P); return ok }) {
		list = append(list, c.plugin.(P))
	}
	return list
}

// multiPoint joins the defaults with the profile's own multiPoint set: what it enables again keeps its place with the new weight.
func (b *builder) multiPoint(set *schedulerv1.PluginSet) (list []choice) {
	own := map[string]*schedulerv1.Plugin{}
	for i := range set.Enabled {
		name := set.Enabled[i].Name
		if own[name] != nil {
			b.errs = append(b.errs, field.Duplicate(b.path.Child("plugins", "multiPoint", "enabled").Index(i), name))
		}
		own[name] = &set.Enabled[i]
	}
	placed := map[string]bool{}
	for _, e := range b.table {
		if disables(set, e.Name) || e.Optional {
			continue
		}
		weight := int64(e.Weight)
		if o := own[e.Name]; o != nil && o.Weight != nil && *o.Weight != 0 {
			weight = int64(*o.Weight)
		}
		placed[e.Name] = true
		list = b.append(list, e.Name, weight, b.path.Child("plugins", "multiPoint"))
	}
	for i := range set.Enabled {
		e := &set.Enabled[i]
		if !placed[e.Name] {
			placed[e.Name] = true
			list = b.append(list, e.Name, weightOf(e), b.path.Child("plugins", "multiPoint", "enabled").Index(i))
		}
	}
	return list
}

func weightOf(p *schedulerv1.Plugin) int64 {
	if p.Weight == nil {
		return 0
	}
	return int64(*p.Weight)
}

func disables(set *schedulerv1.PluginSet, name string) bool {
	for i := range set.Disabled {
		if set.Disabled[i].Name == name || set.Disabled[i].Name == "*" {
			return true
		}
	}
	return false
}

func (b *builder) append(list []choice, name string, weight int64, path *field.Path) []choice {
	p := b.make(name, path)
	if p == nil {
		return list
	}
	return append(list, choice{p, weight})
}

// choose lists the plugins of an extension point: first those of the multiPoint set that the point names itself, then the rest of that set,
// then what else the point names.
func (b *builder) choose(point string, set *schedulerv1.PluginSet, multi []choice, fits func(plugin.Plugin) bool) (list []choice) {
	path := b.path.Child("plugins", point, "enabled")
	named := map[string]bool{}
	var first, rest []choice
	for i := range set.Enabled {
		e := &set.Enabled[i]
		if named[e.Name] {
			b.errs = append(b.errs, field.Duplicate(path.Index(i), e.Name))
			continue
		}
		named[e.Name] = true
		p := b.make(e.Name, path.Index(i))
		if p == nil {
			continue
		}
		if !fits(p) {
			b.errs = append(b.errs, field.Invalid(path.Index(i), e.Name, fmt.Sprintf("plugin does not extend %s", point)))
			continue
		}
		c := choice{p, weightOf(e)}
		if slices.ContainsFunc(multi, func(m choice) bool { return m.plugin == p }) {
			first = append(first, c)
		} else {
			rest = append(rest, c)
		}
	}
	list = first
	for _, m := range multi {
		if name := m.plugin.Name(); !named[name] && !disables(set, name) && fits(m.plugin) {
			list = append(list, m)
		}
	}
	return append(list, rest...)
}

// make returns the profile's one instance of a plugin.
func (b *builder) make(name string, path *field.Path) plugin.Plugin {
	if p, ok := b.made[name]; ok {
		return p
	}
	place := slices.IndexFunc(b.table, func(e plugins.Entry) bool { return e.Name == name })
	if place < 0 {
		b.errs = append(b.errs, field.NotFound(path, name))
		return nil
	}
	var raw runtime.RawExtension
	for i := range b.config.PluginConfig {
		if b.config.PluginConfig[i].Name == name {
			raw = b.config.PluginConfig[i].Args
		}
	}
	args, known, err := config.Args(name, raw)
	if err == nil && !known && (len(raw.Raw) > 0 || raw.Object != nil) {
		args = raw
	}
	var p plugin.Plugin
	if err == nil {
		p, err = b.table[place].New(args, b.env)
	}
	if err != nil {
		b.errs = append(b.errs, field.Invalid(path, name, err.Error()))
		return nil
	}
	b.made[name] = p
	return p
}

// unknownConfigs reports arguments for plugins that there are none of.
func (b *builder) unknownConfigs() {
	for i := range b.config.PluginConfig {
		name := b.config.PluginConfig[i].Name
		if !slices.ContainsFunc(b.table, func(e plugins.Entry) bool { return e.Name == name }) {
			b.errs = append(b.errs, field.NotFound(b.path.Child("pluginConfig").Index(i).Child("name"), name))
		}
	}
}
