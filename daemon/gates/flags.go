package gates

import "github.com/spf13/pflag"

// Flags are the flags about features and versions that components of the control plane have.
type Flags struct {
	gates    Flag
	versions Versions
}

// AddFlags declares --feature-gates, --emulated-version and --min-compatibility-version.
func (f *Flags) AddFlags(flags *pflag.FlagSet) {
	flags.Var(&f.gates, "feature-gates", Usage)
	f.versions.AddFlags(flags)
}

// Usage is the help of --feature-gates.
const Usage = "features to switch, as name=bool; names are checked, but what is built is on"

// Check refuses versions that are not there, and warns of gates that are set in vain. Gates that do not exist are refused when flags are read.
func (f *Flags) Check() error {
	Warn(f.gates)
	return f.versions.Check()
}
