package config

import (
	"strings"
	"testing"
)

const header = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte(header))
	if err != nil {
		t.Fatal(err)
	}
	if *c.Parallelism != 16 || *c.PodInitialBackoffSeconds != 1 || *c.PodMaxBackoffSeconds != 10 || *c.PercentageOfNodesToScore != 0 ||
		!*c.LeaderElection.LeaderElect || c.LeaderElection.ResourceName != "kube-scheduler" || len(c.Profiles) != 1 || *c.Profiles[0].SchedulerName != DefaultName {
		t.Errorf("%+v", c)
	}
}

// All mistakes are reported at once, each under its path.
func TestEveryMistakeIsReported(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(header + `
parallelism: 0
percentageOfNodesToScore: 101
podInitialBackoffSeconds: 5
podMaxBackoffSeconds: 2
leaderElection: {leaseDuration: 5s, renewDeadline: 10s}
profiles:
- schedulerName: one
  pluginConfig:
  - {name: DefaultPreemption, args: {minCandidateNodesPercentage: 200}}
  - {name: InterPodAffinity, args: {hardPodAffinityWeight: -1}}
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: RequestedToCapacityRatio, resources: [{name: cpu, weight: 500}], requestedToCapacityRatio: {shape: [{utilization: 50, score: 11}, {utilization: 10, score: 0}]}}}
  - {name: PodTopologySpread, args: {defaultConstraints: [{maxSkew: 0, topologyKey: "", whenUnsatisfiable: Maybe}]}}
- schedulerName: one
extenders:
- {urlPrefix: "", prioritizeVerb: p, weight: -1}
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"parallelism", "percentageOfNodesToScore", "podMaxBackoffSeconds", "leaderElection.leaseDuration", "profiles[1].schedulerName",
		"profiles[0].pluginConfig[0].args.minCandidateNodesPercentage", "profiles[0].pluginConfig[1].args.hardPodAffinityWeight",
		"profiles[0].pluginConfig[2].args.scoringStrategy.resources[0].weight", "requestedToCapacityRatio.shape[0].score", "shape[1].utilization",
		"profiles[0].pluginConfig[3].args.defaultingType", "defaultConstraints[0].maxSkew", "defaultConstraints[0].topologyKey", "defaultConstraints[0].whenUnsatisfiable",
		"extenders[0].urlPrefix", "extenders[0].weight",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not mentioned in %v", want, err)
		}
	}
}

func TestUnknownFieldsAndKinds(t *testing.T) {
	t.Parallel()
	for _, text := range []string{header + "paralelism: 3\n", "apiVersion: kubescheduler.config.k8s.io/v1beta3\nkind: KubeSchedulerConfiguration\n",
		header + "profiles: [{pluginConfig: [{name: VolumeBinding, args: {bindTimeout: 3}}]}]\n", ":"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("accepted %q", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(header)
	f.Add(header + "profiles: [{schedulerName: x, plugins: {score: {enabled: [{name: NodeResourcesFit, weight: 3}]}}}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text))
		if err == nil && len(Validate(c)) > 0 {
			t.Error("parsed, but not valid")
		}
	})
}
