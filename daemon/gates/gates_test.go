package gates

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestGatesAreCheckedAsUpstreamDoes, in its words.
func TestGatesAreCheckedAsUpstreamDoes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"":                                     "",
		"AllAlpha=true,AllBeta=false":          "",
		"kube:SidecarContainers=true":          "",
		"CoordinatedLeaderElection=true":       "",
		"NoSuchGate=true":                      "unrecognized feature gate: NoSuchGate",
		"SidecarContainers=false":              "cannot set feature gate SidecarContainers to false, feature is locked to true",
		"AllBeta":                              "missing bool value for AllBeta",
		"AllBeta=perhaps":                      "invalid value of AllBeta=perhaps",
		"wardle:AllBeta=true":                  "component not registered: wardle",
		"NoSuchGate=true,SidecarContainers=no": "invalid value of SidecarContainers=no",
	} {
		var flag Flag
		err := flag.Set(value)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", value, err, want)
		}
	}
}

// TestWhoeverSetsAGateOtherwiseIsTold, in a stable order; what is the default anyway is no news.
func TestWhoeverSetsAGateOtherwiseIsTold(t *testing.T) {
	t.Parallel()
	var flag Flag
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.Var(&flag, "feature-gates", "")
	if err := flags.Parse([]string{"--feature-gates=SidecarContainers=true,AllBeta=true", "--feature-gates=AllAlpha=true"}); err != nil {
		t.Fatal(err)
	}
	if got := Unheeded(flag); !slices.Equal(got, []string{"AllAlpha=true", "AllBeta=true"}) {
		t.Errorf("unheeded: %v", got)
	}
	if got := flag.String(); got != "AllAlpha=true,AllBeta=true,SidecarContainers=true" {
		t.Errorf("as text: %s", got)
	}
}

// TestTheTableIsInOrder: names sorted, each with a stage and a default.
func TestTheTableIsInOrder(t *testing.T) {
	t.Parallel()
	last := ""
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] <= last || !slices.Contains([]string{"alpha", "beta", "ga", "deprecated"}, words[1]) ||
			!slices.Contains([]string{"on", "off"}, words[2]) || len(words) > 3 && words[3] != "locked" {
			t.Errorf("line %q after %s", line, last)
		}
		last = words[0]
	}
}

func TestOnlyThisVersionIsThere(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"--emulated-version=1.36":               "",
		"--emulated-version=kube=1.36":          "",
		"--min-compatibility-version=1.35":      "",
		"--min-compatibility-version=kube=1.36": "",
		"--emulated-version=1.35":               "--emulated-version: 1.35 is not supported, only 1.36",
		"--emulated-version=wardle=1.2":         "--emulated-version: component not registered: wardle",
		"--min-compatibility-version=1.34":      "--min-compatibility-version: 1.34 is not supported, only 1.35 and 1.36",
	} {
		var versions Versions
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		versions.AddFlags(flags)
		if err := flags.Parse([]string{arg}); err != nil {
			t.Fatal(err)
		}
		err := versions.Check()
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
}
