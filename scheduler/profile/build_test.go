package profile

import (
	"strings"
	"testing"

	"github.com/septet-io/septet/scheduler/config"
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins"
)

const header = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

func build(t *testing.T, text string) (map[string]*Profile, error) {
	t.Helper()
	c, err := config.Parse([]byte(header + text))
	if err != nil {
		t.Fatal(err)
	}
	return Build(c, plugins.All(), &plugin.Env{})
}

func scoresOf(p *Profile) string {
	var list []string
	for _, s := range p.Scores {
		list = append(list, s.Name)
	}
	return strings.Join(list, " ")
}

// The default profile has upstream's plugins in upstream's order, with upstream's weights.
func TestDefaultProfile(t *testing.T) {
	t.Parallel()
	profiles, err := build(t, "")
	if err != nil {
		t.Fatal(err)
	}
	p := profiles[config.DefaultName]
	var filters []string
	for _, f := range p.Filters {
		filters = append(filters, f.Name)
	}
	want := "NodeUnschedulable NodeName TaintToleration NodeAffinity NodePorts NodeResourcesFit VolumeRestrictions NodeVolumeLimits VolumeBinding VolumeZone " +
		"PodTopologySpread InterPodAffinity DynamicResources NodeDeclaredFeatures"
	if got := strings.Join(filters, " "); got != want {
		t.Errorf("filters\n%s, want\n%s", got, want)
	}
	weights := map[string]int64{"TaintToleration": 3, "NodeAffinity": 2, "PodTopologySpread": 2, "InterPodAffinity": 2, "NodeResourcesFit": 1,
		"NodeResourcesBalancedAllocation": 1, "ImageLocality": 1, "VolumeBinding": 1, "DynamicResources": 2}
	if len(p.Scores) != len(weights) {
		t.Errorf("scores %s", scoresOf(p))
	}
	for _, s := range p.Scores {
		if s.Weight != weights[s.Name] {
			t.Errorf("%s weighs %d, want %d", s.Name, s.Weight, weights[s.Name])
		}
	}
}

func TestPluginSets(t *testing.T) {
	t.Parallel()
	profiles, err := build(t, `
profiles:
- schedulerName: points
  plugins:
    score: {disabled: [{name: "*"}], enabled: [{name: NodeResourcesFit, weight: 7}, {name: ImageLocality}]}
- schedulerName: multi
  plugins:
    multiPoint: {disabled: [{name: InterPodAffinity}], enabled: [{name: TaintToleration, weight: 9}]}
    score: {enabled: [{name: ImageLocality, weight: 4}]}
- schedulerName: none
  percentageOfNodesToScore: 30
  plugins: {score: {disabled: [{name: "*"}]}, filter: {disabled: [{name: NodePorts}]}}
`)
	if err != nil {
		t.Fatal(err)
	}
	if p := profiles["points"]; scoresOf(p) != "NodeResourcesFit ImageLocality" || p.Scores[0].Weight != 7 || p.Scores[1].Weight != 1 {
		t.Errorf("points: %+v", p.Scores)
	}
	multi := profiles["multi"]
	if got := scoresOf(multi); strings.Contains(got, "InterPodAffinity") || !strings.HasPrefix(got, "ImageLocality TaintToleration") {
		t.Errorf("multi: %s", got)
	}
	for _, s := range multi.Scores {
		if s.Name == "TaintToleration" && s.Weight != 9 || s.Name == "ImageLocality" && s.Weight != 4 {
			t.Errorf("multi: %+v", s)
		}
	}
	if p := profiles["none"]; len(p.Scores) != 0 || p.Percentage != 30 || len(p.Filters) != 13 {
		t.Errorf("none: %+v", p)
	}
}

func TestMistakesInProfiles(t *testing.T) {
	t.Parallel()
	_, err := build(t, `
profiles:
- schedulerName: one
  pluginConfig: [{name: Unheard, args: {}}]
  plugins:
    filter: {enabled: [{name: PrioritySort}, {name: Atlantis}]}
    score: {enabled: [{name: NodeName}]}
    queueSort: {disabled: [{name: "*"}]}
    bind: {disabled: [{name: "*"}]}
`)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"profiles[0].plugins.filter.enabled[0]", "profiles[0].plugins.filter.enabled[1]", "profiles[0].plugins.score.enabled[0]",
		"profiles[0].plugins.queueSort", "profiles[0].plugins.bind", "profiles[0].pluginConfig[0].name"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not mentioned in %v", want, err)
		}
	}
}
