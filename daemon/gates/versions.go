package gates

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Versions are the flags that ask a component to behave as another version of itself would. There is one version only.
type Versions struct{ emulated, oldest []string }

// What there is: this version, beside others of the cluster that are as old as the one before.
var (
	emulated = []string{"1.36"}
	oldest   = []string{"1.35", "1.36"}
)

// AddFlags declares --emulated-version and --min-compatibility-version.
func (v *Versions) AddFlags(flags *pflag.FlagSet) {
	flags.StringSliceVar(&v.emulated, "emulated-version", nil, "version to behave as: kube=1.36 is the only one")
	flags.StringSliceVar(&v.oldest, "min-compatibility-version", nil, "least version of the components beside this one: kube=1.35 or kube=1.36")
}

// Check refuses versions that are not there. Errors name the flag.
func (v *Versions) Check() error {
	return errors.Join(check("emulated-version", v.emulated, emulated), check("min-compatibility-version", v.oldest, oldest))
}

func check(flag string, given, there []string) error {
	for _, text := range given {
		component, version, named := strings.Cut(text, "=")
		if !named {
			component, version = "kube", text
		}
		if component != "kube" {
			return fmt.Errorf("--%s: component not registered: %s", flag, component)
		}
		if !slices.Contains(there, strings.TrimPrefix(version, "v")) {
			return fmt.Errorf("--%s: %s is not supported, only %s", flag, version, strings.Join(there, " and "))
		}
	}
	return nil
}
