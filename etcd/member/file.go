package member

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// ReadFile sets flags from etcd's configuration file and returns the names of those that it set. Its keys are the flags' names;
// what is nested goes by sections. Unknown keys are returned too, as etcd takes them: without effect.
func (s *Settings) ReadFile(file string, fs *flag.FlagSet) (given, unknown []string, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	var content map[string]any
	if err := yaml.Unmarshal(data, &content); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	only := flag.NewFlagSet(file, flag.ContinueOnError)
	only.Var(words{&s.ClientTLS.AllowedCNs}, "client-cert-allowed-cn", "")
	only.BoolVar(&s.ClientTLS.SkipClientSANVerify, "skip-client-san-verification", false, "")
	only.IntVar(&s.DiscoveryCfg.MaxCallSendMsgSize, "discovery-max-request-bytes", 0, "")
	only.IntVar(&s.DiscoveryCfg.MaxCallRecvMsgSize, "discovery-max-recv-bytes", 0, "")
	var problems []string
	for _, key := range flatten("", content) {
		f := fs.Lookup(key.name)
		if f == nil {
			f = only.Lookup(key.name)
		}
		if f == nil {
			unknown = append(unknown, key.name)
			continue
		}
		given = append(given, f.Name)
		if err := f.Value.Set(key.text(f)); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", key.name, err))
		}
	}
	if len(problems) > 0 {
		return nil, nil, fmt.Errorf("%s: %s", file, strings.Join(problems, "; "))
	}
	return given, unknown, nil
}

// sections say how the flags of nested keys begin.
var sections = map[string]string{
	"client-transport-security": "",
	"peer-transport-security":   "peer-",
	"socket-options":            "socket-",
	"discovery-config":          "discovery-",
	"discovery-client":          "discovery-",
	"discovery-secure":          "discovery-",
	"discovery-auth":            "discovery-",
}

// renamed are keys that are not their flags' names.
var renamed = map[string]string{
	"allowed-cn":                             "client-cert-allowed-cn",
	"allowed-hostname":                       "client-cert-allowed-hostname",
	"peer-allowed-cn":                        "peer-cert-allowed-cn",
	"peer-allowed-hostname":                  "peer-cert-allowed-hostname",
	"discovery-username":                     "discovery-user",
	"experimental-snapshot-catch-up-entries": "snapshot-catchup-entries",
}

type entry struct {
	name  string
	value any
}

// flatten lists the keys, sorted, under the names of flags.
func flatten(prefix string, content map[string]any) (all []entry) {
	for key, value := range content {
		name := prefix + key
		if flag, ok := renamed[name]; ok {
			name = flag
		}
		nested, isMap := value.(map[string]any)
		if begins, ok := sections[name]; ok && isMap {
			all = append(all, flatten(begins, nested)...)
			continue
		}
		all = append(all, entry{name, value})
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all
}

// text is the value as it would stand behind the flag. A duration that is a number is one of nanoseconds, as etcd has it.
func (e entry) text(f *flag.Flag) string {
	switch value := e.value.(type) {
	case nil:
		return f.DefValue
	case []any:
		var parts []string
		for _, part := range value {
			parts = append(parts, fmt.Sprint(part))
		}
		return strings.Join(parts, ",")
	case float64:
		text := strconv.FormatFloat(value, 'f', -1, 64)
		if isDuration(f) {
			text += "ns"
		}
		return text
	default:
		return fmt.Sprint(value)
	}
}

func isDuration(f *flag.Flag) bool {
	getter, ok := f.Value.(flag.Getter)
	if !ok {
		return false
	}
	_, ok = getter.Get().(time.Duration)
	return ok
}
