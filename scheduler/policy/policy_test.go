package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/septet-io/septet/scheduler/config"
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins"
	"github.com/septet-io/septet/scheduler/profile"
)

// The policy file of upstream's old documentation becomes a profile.
func TestAPolicyBecomesAProfile(t *testing.T) {
	t.Parallel()
	c := config.Default()
	err := Apply([]byte(`{"kind": "Policy", "apiVersion": "v1",
"predicates": [{"name": "PodFitsHostPorts"}, {"name": "PodFitsResources"}, {"name": "NoDiskConflict"}, {"name": "MatchNodeSelector"}, {"name": "HostName"}],
"priorities": [{"name": "LeastRequestedPriority", "weight": 1}, {"name": "BalancedResourceAllocation", "weight": 1}, {"name": "ServiceSpreadingPriority", "weight": 3}, {"name": "EqualPriority", "weight": 1}],
"extenders": [{"urlPrefix": "http://127.0.0.1:12345/api", "filterVerb": "filter", "httpTimeout": 100000000}],
"hardPodAffinitySymmetricWeight": 10}`), c)
	if err != nil {
		t.Fatal(err)
	}
	if errs := config.Validate(c); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	profiles, err := profile.Build(c, plugins.All(), &plugin.Env{})
	if err != nil {
		t.Fatal(err)
	}
	p := profiles[config.DefaultName]
	var filters, scores []string
	for _, f := range p.Filters {
		filters = append(filters, f.Name)
	}
	for _, s := range p.Scores {
		scores = append(scores, s.Name)
	}
	if got, want := strings.Join(filters, " "), "NodeUnschedulable NodeName NodePorts NodeAffinity NodeResourcesFit VolumeRestrictions TaintToleration DynamicResources NodeDeclaredFeatures"; got != want {
		t.Errorf("filters\n%s, want\n%s", got, want)
	}
	if got, want := strings.Join(scores, " "), "NodeResourcesFit NodeResourcesBalancedAllocation PodTopologySpread"; got != want {
		t.Errorf("scores %s, want %s", got, want)
	}
	if p.Scores[2].Weight != 3 || len(c.Extenders) != 1 || c.Extenders[0].HTTPTimeout.Duration != 100*time.Millisecond {
		t.Errorf("%+v, %+v", p.Scores[2], c.Extenders)
	}
}

// What cannot be translated is an error with its path, all at once.
func TestWhatHasNoEquivalent(t *testing.T) {
	t.Parallel()
	err := Apply([]byte(`
kind: Policy
apiVersion: v1
predicates:
- {name: Nonsense}
- {name: CheckNodeLabelPresence, argument: {labelsPresence: {labels: [x], presence: true}}}
priorities:
- {name: NodePreferAvoidPodsPriority, weight: 1}
- {name: LeastRequestedPriority, weight: 0}
- {name: MostRequestedPriority, weight: 1}
- {name: Custom, weight: 1, argument: {serviceAntiAffinity: {label: zone}}}
extenders:
- {urlPrefix: "http://x", prioritizeVerb: p, httpTimeout: soon}
`), config.Default())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"predicates[0].name", "predicates[1].argument", "priorities[0].name", "priorities[1].weight", "priorities[2]: Forbidden", "priorities[3].argument",
		"extenders[0].httpTimeout", "extenders[0].weight"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not mentioned in %v", want, err)
		}
	}
	for _, text := range []string{"kind: Polly\napiVersion: v1\n", "kind: Policy\napiVersion: v1\npredicate: []\n"} {
		if Apply([]byte(text), config.Default()) == nil {
			t.Errorf("accepted %q", text)
		}
	}
}
