// Package gates knows upstream's feature gates: which there are in v1.36, how mature each is and what it is by default. Nothing here is
// switched by one: what is built is on. So flags and configuration files that set gates are checked as upstream checks them, and
// whoever asks for another value than the default is told that it changes nothing.
package gates

import (
	_ "embed" // gates.txt
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/klog/v2"
)

// text has a gate a line: its name, its stage (alpha, beta, ga, deprecated), its default, and "locked" where it cannot be set otherwise.
//
//go:embed gates.txt
var text string

// gate is what upstream says of one.
type gate struct{ on, locked bool }

// known are all gates by name. They are read when somebody sets one.
var known = sync.OnceValue(func() map[string]gate {
	all := map[string]gate{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		all[words[0]] = gate{on: words[2] == "on", locked: len(words) > 3}
	}
	return all
})

// Check says whether gates may be set so, in upstream's words: one that does not exist may not, nor may one that is locked be anything
// else than its default. The errors are in the order of names.
func Check(set map[string]bool) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(set)) {
		found, ok := known()[name]
		if !ok {
			errs = append(errs, fmt.Errorf("unrecognized feature gate: %s", name))
		} else if found.locked && found.on != set[name] {
			errs = append(errs, fmt.Errorf("cannot set feature gate %s to %t, feature is locked to %t", name, set[name], found.on))
		}
	}
	return errors.Join(errs...)
}

// Unheeded are the gates that are set to something else than their default, as "name=value", in the order of names. They change nothing.
func Unheeded(set map[string]bool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if known()[name].on != set[name] {
			names = append(names, fmt.Sprintf("%s=%t", name, set[name]))
		}
	}
	return names
}

// Warn logs Unheeded, if there are any.
func Warn(set map[string]bool) {
	if names := Unheeded(set); len(names) > 0 {
		klog.Warningf("Feature gates change nothing here, what is built is on: %s", strings.Join(names, " "))
	}
}

// Flag is the value of --feature-gates: "name=bool", several with commas between them, in as many flags as one likes. A name may have the
// component "kube:" before it. The zero value is ready.
type Flag map[string]bool

// Set is pflag.Value: it adds to what was set before.
func (f *Flag) Set(value string) error {
	added := map[string]bool{}
	for part := range strings.SplitSeq(value, ",") {
		if part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		if component, name, prefixed := strings.Cut(key, ":"); prefixed {
			if component != "kube" {
				return fmt.Errorf("component not registered: %s", component)
			}
			key = name
		}
		if !ok {
			return fmt.Errorf("missing bool value for %s", key)
		}
		on, err := strconv.ParseBool(strings.TrimSpace(value))
		if err != nil {
			return fmt.Errorf("invalid value of %s=%s, err: %w", key, value, err)
		}
		added[key] = on
	}
	if *f == nil {
		*f = Flag{}
	}
	maps.Copy(*f, added)
	return Check(added)
}

// String is pflag.Value.
func (f *Flag) String() string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(*f)) {
		pairs = append(pairs, fmt.Sprintf("%s=%t", name, (*f)[name]))
	}
	return strings.Join(pairs, ",")
}

// Type is pflag.Value.
func (*Flag) Type() string { return "mapStringBool" }
