package member

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/features"
)

// ErrAdvertise is what Settle fails with when nobody could find the member.
var ErrAdvertise = errors.New("--advertise-client-urls is required when --listen-client-urls is set explicitly")

// Settle derives from flags (fs, those of AddFlags) what depends on which of them were given.
func (s *Settings) Settle(fs *flag.FlagSet, given func(flag string) bool) error {
	for older, flag := range olderFlags {
		if given(older) && given(flag) {
			return fmt.Errorf("--%s is an older name of --%s: only one can be given", older, flag)
		}
	}
	if given("listen-client-urls") && !given("advertise-client-urls") {
		return ErrAdvertise
	}
	if err := s.gates(fs, given); err != nil {
		return err
	}
	if !given("initial-cluster") {
		s.InitialCluster = ""
	}
	s.advertiseHost(given("initial-advertise-peer-urls"), given("advertise-client-urls"))
	if s.InitialCluster == "" && !s.discovers() {
		s.InitialCluster = s.Itself()
	}
	if s.DataDir == "" {
		s.DataDir = s.Name + ".etcd"
	}
	return nil
}

// gates sets the gates that have a flag of their own, if that was given.
func (s *Settings) gates(fs *flag.FlagSet, given func(flag string) bool) error {
	gates := map[string]bool{}
	named := strings.Split(fs.Lookup(GateFlag).Value.String(), ",")
	for older, gate := range features.ExperimentalFlagToFeatureMap {
		if !given(older) {
			continue
		}
		isGate := func(pair string) bool { name, _, _ := strings.Cut(pair, "="); return name == string(gate) }
		if given(GateFlag) && slices.ContainsFunc(named, isGate) {
			return fmt.Errorf("--%s and --%s both set %s", older, GateFlag, gate)
		}
		gates[string(gate)] = fs.Lookup(older).Value.String() == "true"
	}
	return s.ServerFeatureGate.(featuregate.MutableFeatureGate).SetFromMap(gates)
}
