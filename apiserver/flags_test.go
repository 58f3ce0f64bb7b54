package apiserver

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestFlagsReachTheServer: each flag alone, and what it sets.
func TestFlagsReachTheServer(t *testing.T) {
	t.Parallel()
	for flag, set := range map[string]func(Config, Standard) bool{
		"allow-privileged":                                       func(c Config, _ Standard) bool { return c.AllowPrivileged },
		"allow-privileged=false":                                 func(c Config, _ Standard) bool { return !c.AllowPrivileged },
		"default-not-ready-toleration-seconds=0":                 func(_ Config, s Standard) bool { return *s.NotReadySeconds == 0 },
		"default-unreachable-toleration-seconds=9":               func(_ Config, s Standard) bool { return *s.UnreachableSeconds == 9 },
		"delete-collection-workers=4":                            func(c Config, _ Standard) bool { return c.DeleteWorkers == 4 },
		"disable-http2-serving":                                  func(c Config, _ Standard) bool { return c.NoHTTP2 },
		"disabled-metrics=a,b":                                   func(c Config, _ Standard) bool { return slices.Equal(c.DisabledMetrics, []string{"a", "b"}) },
		"enable-logs-handler":                                    func(c Config, _ Standard) bool { return c.Paths["/logs/"] != nil },
		"endpoint-reconciler-type=none":                          func(_ Config, s Standard) bool { return s.NoEndpoints },
		"endpoint-reconciler-type=lease":                         func(_ Config, s Standard) bool { return !s.NoEndpoints },
		"etcd-healthcheck-timeout=3s":                            func(c Config, _ Standard) bool { return c.HealthTimeout == 3*time.Second },
		"etcd-readycheck-timeout=3s":                             func(c Config, _ Standard) bool { return c.ReadyTimeout == 3*time.Second },
		"event-ttl=2h":                                           func(_ Config, s Standard) bool { return s.EventTTL == 2*time.Hour },
		"external-hostname=api.example.com":                      func(_ Config, s Standard) bool { return s.external() == "api.example.com:6443" },
		"external-hostname=api.example.com:443":                  func(_ Config, s Standard) bool { return s.external() == "api.example.com:443" },
		"kubelet-port=1":                                         func(_ Config, s Standard) bool { return s.KubeletPort == 1 },
		"kubernetes-service-node-port=30443":                     func(_ Config, s Standard) bool { return s.ServiceNodePort == 30443 },
		"lease-reuse-duration-seconds=5":                         func(c Config, _ Standard) bool { return c.LeaseReuse == 5*time.Second },
		"max-connection-bytes-per-sec=1000":                      func(_ Config, s Standard) bool { return s.BytesPerSecond == 1000 },
		"storage-media-type=application/json":                    func(c Config, _ Standard) bool { return c.StoreJSON },
		"strict-transport-security-directives=max-age=1,preload": func(c Config, _ Standard) bool { return c.StrictTransport == "max-age=1; preload" },
		"tls-curve-preferences=23,29": func(c Config, _ Standard) bool {
			return slices.Equal(c.TLS.CurvePreferences, []tls.CurveID{tls.CurveP256, tls.X25519})
		},
		"admission-control=LimitRanger": func(_ Config, s Standard) bool {
			return slices.Contains(s.DisablePlugins, "ServiceAccount") && !slices.Contains(s.DisablePlugins, "LimitRanger")
		},
	} {
		args, err := ParseArgs([]string{flag})
		if err != nil {
			t.Errorf("%s: %v", flag, err)
			continue
		}
		config, standard := Config{}, Standard{Port: 6443}
		if _, err := args.Apply(&config, &standard); err != nil || !set(config, standard) {
			t.Errorf("%s: not set, or %v", flag, err)
		}
	}
}

// TestFlagsAreRefusedForWhatIsNotThere, by name.
func TestFlagsAreRefusedForWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"debug-socket-path=/x":                            "--debug-socket-path is not supported: profiles are at /debug/pprof/",
		"delete-collection-workers=0":                     "--delete-collection-workers must be between 1 and 1000",
		"emulated-version=1.35":                           "--emulated-version: 1.35 is not supported, only 1.36",
		"emulation-forward-compatible":                    "--emulation-forward-compatible cannot be set to true if the emulation version is the same as the binary version",
		"enable-garbage-collector=false":                  "--enable-garbage-collector cannot be false",
		"endpoint-reconciler-type=some":                   `--endpoint-reconciler-type: "some" must be lease, master-count or none`,
		"etcd-healthcheck-timeout=0s":                     "--etcd-healthcheck-timeout must be positive",
		"etcd-servers-overrides=/events#http://a:1":       "--etcd-servers-overrides is not supported",
		"event-ttl=-1s":                                   "--event-ttl must be positive",
		"feature-gates=NoSuch=true":                       `"--feature-gates" flag: unrecognized feature gate: NoSuch`,
		"feature-gates=SidecarContainers=false":           "cannot set feature gate SidecarContainers to false, feature is locked to true",
		"kubelet-port=0":                                  "--kubelet-port 0 must be between 1 and 65535",
		"kubernetes-service-node-port=-1":                 "--kubernetes-service-node-port -1 must be between 0 and 65535, inclusive",
		"kubernetes-service-node-port=443":                "kubernetes service node port range 30000-32767 doesn't contain 443",
		"lease-reuse-duration-seconds=0":                  "--lease-reuse-duration-seconds must be positive",
		"max-connection-bytes-per-sec=-1":                 "--max-connection-bytes-per-sec can not be negative",
		"min-compatibility-version=1.30":                  "--min-compatibility-version: 1.30 is not supported",
		"permit-port-sharing":                             "--permit-port-sharing is decided by the cluster",
		"show-hidden-metrics-for-version=1.30":            "--show-hidden-metrics-for-version must be omitted or have the value '1.35'. Only the previous minor version is allowed",
		"storage-backend=etcd2":                           "--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'",
		"storage-media-type=application/yaml":             `--storage-media-type "application/yaml" is not supported`,
		"storage-media-type=text/plain":                   `--storage-media-type "text/plain" invalid, allowed values: `,
		"strict-transport-security-directives=preload,no": "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, preload",
		"cloud-provider=external":                         "unknown flag: --cloud-provider", // as upstream since v1.33
	} {
		_, err := ParseArgs([]string{flag})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", flag, err, want)
		}
	}
}

// TestTheTablesOfFlags: sorted, each with a reason and a default that can be read; those without effect are told of when they are given.
func TestTheTablesOfFlags(t *testing.T) {
	t.Parallel()
	for _, table := range [][]rigid{accepted(), limited()} {
		if !slices.IsSortedFunc(table, func(a, b rigid) int { return strings.Compare(a.name, b.name) }) {
			t.Error("not sorted")
		}
		for _, f := range table {
			if f.why == "" {
				t.Errorf("--%s: no reason", f.name)
			}
		}
	}
	for _, f := range accepted() {
		value := f.value.String()
		if f.value.Type() == "duration" && f.name != "shutdown-watch-termination-grace-period" && value == "0s" {
			t.Errorf("--%s: no default", f.name)
		}
		args, err := ParseArgs([]string{f.name + "=" + strings.Trim(value, "[]")})
		if err != nil || !slices.Equal(args.noted(), []string{"--" + f.name}) {
			t.Errorf("--%s: noted %v, %v", f.name, args.noted(), err)
		}
	}
}

// TestWhichAPIsAreServed: what names a resource most closely counts.
func TestWhichAPIsAreServed(t *testing.T) {
	t.Parallel()
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	jobs := schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	for pairs, hidden := range map[string][]schema.GroupVersionResource{
		"":                                    {},
		"api/beta=false,api/alpha=false":      {},
		"api/legacy=false":                    {},
		"apps/v1=false":                       {deployments},
		"apps/v1/deployments=false":           {deployments},
		"v1/pods=false":                       {pods},
		"api/v1/pods=false":                   {pods},
		"api/all=false,apps/v1=true":          {jobs, pods},
		"api/all=false,api/ga=true":           {},
		"api/all=true,batch/v1=0":             {jobs},
		"apps/v1=false,apps/v1/deployments":   {},
		"resource.k8s.io/v1beta1=false":       {},
		"api/ga=false,v1=true,batch/v1=true":  {deployments},
		"batch/v1=true,batch/v1=false,v1=yes": nil,
		"api/all=false":                       nil,
		"api/all=0":                           nil,
		"no.such.group/v1=true":               nil,
		"apps/v7=true":                        nil,
		"apps=true":                           nil,
		"apps/v1/Deployments=false":           nil,
		"resource.k8s.io/v1beta1=true":        nil,
	} {
		var list []string
		if pairs != "" {
			list = strings.Split(pairs, ",")
		}
		choice, err := readAPIs(list)
		if (err != nil) != (hidden == nil) {
			t.Errorf("%s: %v", pairs, err)
		}
		if err != nil {
			continue
		}
		all := choice.hidden()
		for _, gvr := range []schema.GroupVersionResource{deployments, jobs, pods} {
			if all[gvr] != slices.Contains(hidden, gvr) {
				t.Errorf("%s: %s hidden: %v", pairs, gvr, all[gvr])
			}
		}
	}
}

// TestWhichAPIsMayNotBeNamed, in upstream's words.
func TestWhichAPIsMayNotBeNamed(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"api/all=false":                         "--runtime-config: invalid runtime-config with only api/all=false",
		"api/all=maybe":                         "invalid value api/all=maybe",
		"apps=true":                             "runtime-config invalid key apps",
		"no.such/v1=true,x.y/v1=true":           "unknown api groups no.such/v1",
		"apps/v7=true":                          "group version apps/v7 that has not been registered",
		"apps/v1=maybe":                         "invalid value of apps/v1: maybe, err: ",
		"apps/v1/Deployments=true":              "group/version/resource and resource is always lowercase plural, not \"Deployments\"",
		"resource.k8s.io/v1beta1=true":          "resource.k8s.io/v1beta1 cannot be served: there are stable APIs only",
		"flowcontrol.apiserver.k8s.io/v1=false": "--runtime-config=flowcontrol.apiserver.k8s.io/v1=false conflicts with --enable-priority-and-fairness=true",
		"api/ga=false,v1=true":                  "--runtime-config=api/ga=false conflicts with --enable-priority-and-fairness=true",
	} {
		if _, err := ParseArgs([]string{"runtime-config=" + flag}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flag, err, want)
		}
	}
}

// TestAddressesThatMeanAnyAreNotAdvertised: members of the cluster could not reach the server there.
func TestAddressesThatMeanAnyAreNotAdvertised(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--bind-address=0.0.0.0"}, {"--bind-address=::"}, {"--advertise-address=0.0.0.0"}} {
		o := &options{}
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		o.add(flags)
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		if address, err := o.address(); err != nil || !address.IsValid() || address.IsUnspecified() {
			t.Errorf("%v: %v, %v", args, address, err)
		}
	}
}
