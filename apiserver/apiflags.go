package apiserver

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/daemon/gates"
	"github.com/septet-io/septet/resource/builtin"
)

// apiFlags say which APIs and features there are.
type apiFlags struct {
	apis     []string
	chosen   *apiChoice // what apis say, once they have been checked
	features gates.Flags
}

func (f *apiFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.apis, "runtime-config", nil, "which built-in APIs are served: v1=bool, group/version=bool, group/version/resource=bool, api/all=bool, api/ga=bool, …; there are stable ones only")
	f.features.AddFlags(flags)
}

// check is every error of the values, each naming its flag. fair says that priority and fairness is on, which has an API.
func (f *apiFlags) check(fair bool) error {
	var errs []error
	var err error
	if f.chosen, err = readAPIs(f.apis); err != nil {
		errs = append(errs, fmt.Errorf("--runtime-config: %w", err))
	} else if fair {
		errs = append(errs, fairnessServed(f.apis))
	}
	return errors.Join(append(errs, f.features.Check())...)
}

// apply puts the flags into a server's settings, and tells of those that ask in vain. Call it after check.
func (f *apiFlags) apply(config *Config) {
	for _, pattern := range []string{"api/all", "api/beta", "api/alpha"} {
		if f.chosen.patterns[pattern] == "true" {
			klog.Warningf("--runtime-config: %s=true serves stable APIs only, there are no others here", pattern)
		}
	}
	if len(f.apis) > 0 {
		config.Hidden = f.chosen.hidden()
	}
}

// patterns are the keys that stand for many versions, in the order in which they count.
var patterns = []struct {
	key     string
	version *regexp.Regexp
}{
	{"api/all", regexp.MustCompile(``)}, {"api/ga", regexp.MustCompile(`^v\d+$`)},
	{"api/beta", regexp.MustCompile(`^v\d+beta\d+$`)}, {"api/alpha", regexp.MustCompile(`^v\d+alpha\d+$`)},
}

// apiChoice is --runtime-config, read.
type apiChoice struct {
	// patterns has the values of keys that stand for many versions.
	patterns map[string]string
	// versions and resources are switched one by one.
	versions  map[schema.GroupVersion]bool
	resources map[schema.GroupVersionResource]bool
}

// readAPIs reads "key=value" pairs. Errors are upstream's, all at once; what it would serve and this server has not is one too.
func readAPIs(pairs []string) (*apiChoice, error) {
	choice := &apiChoice{patterns: map[string]string{}, versions: map[schema.GroupVersion]bool{}, resources: map[schema.GroupVersionResource]bool{}}
	given := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		if key = strings.TrimSpace(key); key != "api/legacy" {
			given[coreKey(key)] = strings.TrimSpace(value)
		}
	}
	if len(given) == 1 && given["api/all"] == "false" {
		return nil, errors.New("invalid runtime-config with only api/all=false")
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		errs = append(errs, choice.read(key, given[key]))
	}
	return choice, errors.Join(errs...)
}

// coreKey writes the ways of naming the core group's version alike: v1, api/v1 and /v1.
func coreKey(key string) string {
	trimmed := strings.TrimPrefix(key, "api/")
	if trimmed == "v1" || strings.HasPrefix(trimmed, "v1/") {
		return "/" + trimmed
	}
	return key
}

func (c *apiChoice) read(key, value string) error {
	for _, p := range patterns {
		if key != p.key {
			continue
		}
		if value != "true" && value != "false" {
			return fmt.Errorf("invalid value %s=%s", key, value)
		}
		c.patterns[key] = value
		return nil
	}
	parts := strings.Split(key, "/")
	if len(parts) != 2 && len(parts) != 3 {
		return fmt.Errorf("runtime-config invalid key %s", key)
	}
	gv := schema.GroupVersion{Group: parts[0], Version: parts[1]}
	served := servedVersions()[gv]
	switch {
	case !served && !scheme.Scheme.IsGroupRegistered(gv.Group):
		return fmt.Errorf("unknown api groups %s", gv)
	case !served && !scheme.Scheme.IsVersionRegistered(gv):
		return fmt.Errorf("group version %s that has not been registered", gv)
	}
	on := value == ""
	if !on {
		var err error
		if on, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("invalid value of %s: %s, err: %w", key, value, err)
		}
	}
	if on && !served {
		return fmt.Errorf("%s cannot be served: there are stable APIs only", gv)
	}
	if len(parts) == 2 {
		c.versions[gv] = on
		return nil
	}
	if strings.ToLower(parts[2]) != parts[2] {
		return fmt.Errorf("invalid key %s: group/version/resource and resource is always lowercase plural, not %q", key, parts[2])
	}
	c.resources[gv.WithResource(parts[2])] = on
	return nil
}

// servedVersions are the group versions of all built-in kinds.
func servedVersions() map[schema.GroupVersion]bool {
	versions := map[schema.GroupVersion]bool{}
	for _, kind := range builtin.All() {
		versions[kind.Resource.GroupVersion()] = true
	}
	return versions
}

// on says whether a resource is to be served: what names it most closely counts.
func (c *apiChoice) on(gvr schema.GroupVersionResource) bool {
	if on, said := c.resources[gvr]; said {
		return on
	}
	if on, said := c.versions[gvr.GroupVersion()]; said {
		return on
	}
	on := true
	for _, p := range patterns {
		if value, said := c.patterns[p.key]; said && p.version.MatchString(gvr.Version) {
			on = value == "true"
		}
	}
	return on
}

// hidden are the built-in resources that are not to be served.
func (c *apiChoice) hidden() map[schema.GroupVersionResource]bool {
	all := map[schema.GroupVersionResource]bool{}
	for _, kind := range builtin.All() {
		if !c.on(kind.Resource) {
			all[kind.Resource] = true
		}
	}
	return all
}

// fairnessServed is an error if priority and fairness is on and its API is switched off; what names it most closely counts.
func fairnessServed(pairs []string) error {
	for _, key := range []string{"flowcontrol.apiserver.k8s.io/v1", "api/ga", "api/all"} {
		if slices.Contains(pairs, key+"=false") {
			return fmt.Errorf("--runtime-config=%s=false conflicts with --enable-priority-and-fairness=true", key)
		}
		if slices.Contains(pairs, key+"=true") {
			return nil
		}
	}
	return nil
}
