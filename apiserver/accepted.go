package apiserver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// rigid is a flag of upstream's that cannot be set freely here.
type rigid struct {
	name  string
	value pflag.Value
	// only has the values that may be given; nil: any. Nothing may always be given.
	only []string
	// why says, after the flag's name, what there is instead: in the help if any value may be given, else in the error.
	why string
}

// accepted are upstream's flags that change nothing here, with the reason. One a line, sorted.
func accepted() []rigid {
	return []rigid{
		{"allow-metric-labels", stringList(), nil, "labels have the values that the server itself gives them"},
		{"allow-metric-labels-manifest", text(), nil, "labels have the values that the server itself gives them"},
		{"apiserver-count", number(1), nil, "servers count themselves, by leases in etcd"},
		{"coordinated-leadership-lease-duration", span(15 * time.Second), nil, "LeaseCandidates are a beta API, which is not served"},
		{"coordinated-leadership-renew-deadline", span(10 * time.Second), nil, "LeaseCandidates are a beta API, which is not served"},
		{"coordinated-leadership-retry-period", span(2 * time.Second), nil, "LeaseCandidates are a beta API, which is not served"},
		{"default-watch-cache-size", number(100), nil, "the cache's size follows from its use; without an effect upstream too"},
		{"etcd-count-metric-poll-period", span(time.Minute), nil, "objects are counted when somebody asks for the metric"},
		{"etcd-db-metric-poll-interval", span(30 * time.Second), nil, "etcd's size is asked for when somebody asks for the metric"},
		{"kubelet-read-only-port", number(10255), nil, "nothing is asked of that port; upstream does not either"},
		{"kubelet-timeout", span(5 * time.Second), nil, "upstream reads it and uses it nowhere"},
		{"permit-address-sharing", truth(false), nil, "the port is always bound so (SO_REUSEADDR)"},
		{"shutdown-watch-termination-grace-period", span(0), nil, "all watches end at once"},
		{"storage-initialization-timeout", span(time.Minute), nil, "a kind's objects are read when somebody first asks for them; to be ready waits for none"},
		{"watch-cache", truth(true), nil, "reads come from the cache and are as fresh as etcd's"},
		{"watch-cache-sizes", stringList(), nil, "the cache's size follows from its use"},
	}
}

// limited are flags of which only some values have a meaning here: to go on without what others ask for would be less safe than it
// seems. One a line, sorted.
func limited() []rigid {
	return []rigid{
		{"debug-socket-path", text(), []string{}, "is not supported: profiles are at /debug/pprof/"},
		{"egress-selector-config-file", text(), []string{}, "is not supported"},
		{"emulation-forward-compatible", truth(false), []string{"false"}, "cannot be set to true if the emulation version is the same as the binary version"},
		{"enable-garbage-collector", truth(true), []string{"true"}, "cannot be false: objects are always deleted together with what they own"},
		{"etcd-servers-overrides", stringList(), []string{}, "is not supported: all objects lie in the etcd of --etcd-servers"},
		{"peer-advertise-ip", text(), []string{}, "is not supported: requests for resources that other servers know are not passed on to them"},
		{"peer-advertise-port", text(), []string{}, "is not supported: requests for resources that other servers know are not passed on to them"},
		{"peer-ca-file", text(), []string{}, "is not supported: requests for resources that other servers know are not passed on to them"},
		{"runtime-config-emulation-forward-compatible", truth(false), []string{"false"}, "cannot be set to true if the emulation version is the same as the binary version"},
		{"service-account-signing-endpoint", text(), []string{}, "is not supported: tokens are signed with --service-account-signing-key-file"},
		{"show-hidden-metrics-for-version", text(), []string{"1.35"}, "must be omitted or have the value '1.35'. Only the previous minor version is allowed"},
		{"storage-backend", text(), []string{"etcd3"}, "invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'"},
	}
}

// addRigid declares both.
func (o *options) addRigid(flags *pflag.FlagSet) {
	o.rigid = pflag.NewFlagSet("rigid", pflag.ContinueOnError)
	add := func(f rigid, usage string) {
		flag := o.rigid.VarPF(f.value, f.name, "", usage)
		if f.value.Type() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	for _, f := range accepted() {
		add(f, "accepted without effect: "+f.why)
	}
	for _, f := range limited() {
		usage := "not supported"
		if len(f.only) > 0 {
			usage = "only " + strings.Join(f.only, ", ")
		}
		add(f, usage)
	}
	flags.AddFlagSet(o.rigid)
}

// supported is an error if flags were given that ask for what is not there.
func (o *options) supported() error {
	var errs []error
	for _, f := range limited() {
		flag := o.rigid.Lookup(f.name)
		given := flag.Value.String()
		if flag.Changed && given != "" && given != "[]" && !slices.Contains(f.only, given) {
			errs = append(errs, fmt.Errorf("--%s %s", f.name, f.why))
		}
	}
	if o.eventTTL <= 0 {
		errs = append(errs, errors.New("--event-ttl must be positive"))
	}
	return errors.Join(append(errs, o.front.check(), o.storage.check(), o.cluster.check(o.nodePorts), o.apis.check(o.seats.fair))...)
}

// noted are the names of flags that were given and change nothing.
func (o *options) noted() []string {
	var names []string
	for _, f := range accepted() {
		if o.rigid.Changed(f.name) {
			names = append(names, "--"+f.name)
		}
	}
	return names
}

// The kinds of value, each with its default.

func text() pflag.Value { return valueOf(func(f *pflag.FlagSet) { f.String("x", "", "") }) }

func stringList() pflag.Value {
	return valueOf(func(f *pflag.FlagSet) { f.StringSlice("x", nil, "") })
}

func number(n int) pflag.Value { return valueOf(func(f *pflag.FlagSet) { f.Int("x", n, "") }) }

func truth(on bool) pflag.Value { return valueOf(func(f *pflag.FlagSet) { f.Bool("x", on, "") }) }

func span(length time.Duration) pflag.Value {
	return valueOf(func(f *pflag.FlagSet) { f.Duration("x", length, "") })
}

func valueOf(declare func(*pflag.FlagSet)) pflag.Value {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	declare(set)
	return set.Lookup("x").Value
}
