package plugins

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/lru"

	"github.com/septet-io/septet/apiserver/admission"
)

// eventLimits is eventratelimit.admission.k8s.io/v1alpha1 Configuration.
type eventLimits struct {
	metav1.TypeMeta `json:",inline"`
	Limits          []struct {
		Type      string `json:"type"`
		QPS       int32  `json:"qps"`
		Burst     int32  `json:"burst"`
		CacheSize int32  `json:"cacheSize"`
	} `json:"limits"`
}

// eventKeys say what shares a limit, by the limit's type.
var eventKeys = map[string]func(*admission.Attributes) string{
	"Server":    func(*admission.Attributes) string { return "" },
	"Namespace": func(a *admission.Attributes) string { return a.Namespace },
	"User":      func(a *admission.Attributes) string { return a.User.Name },
	"SourceAndObject": func(a *admission.Attributes) string {
		event, ok := a.Object.(*corev1.Event)
		if !ok {
			return ""
		}
		of := &event.InvolvedObject
		return strings.Join([]string{event.Source.Component, event.Source.Host, of.Kind, of.Namespace, of.Name, string(of.UID), of.APIVersion}, "")
	},
}

// defaultEventKeys is how many keys a limit knows at a time, if it does not say.
const defaultEventKeys = 4096

type eventLimit struct {
	kind     string
	qps      rate.Limit
	burst    int
	limiters *lru.Cache // of *rate.Limiter by key
}

// allow takes an event from a key's allowance. Two that come first at once may both be counted as first.
func (l *eventLimit) allow(key string) bool {
	if known, found := l.limiters.Get(key); found {
		return known.(*rate.Limiter).Allow()
	}
	made := rate.NewLimiter(l.qps, l.burst)
	l.limiters.Add(key, made)
	return made.Allow()
}

// eventRateLimit bounds how many Events are written. Off by default, and useless without a configuration.
func eventRateLimit(env *Env) (admission.Plugin, error) {
	var config eventLimits
	if _, err := env.Config.Read("EventRateLimit", &config, "Configuration", "eventratelimit.admission.k8s.io/v1alpha1"); err != nil {
		return admission.Plugin{}, err
	}
	if len(config.Limits) == 0 {
		return admission.Plugin{}, fmt.Errorf("limits: Invalid value: must not be empty; see --admission-control-config-file")
	}
	var limits []*eventLimit
	for i, from := range config.Limits {
		if eventKeys[from.Type] == nil || from.QPS <= 0 || from.Burst <= 0 || from.CacheSize < 0 {
			return admission.Plugin{}, fmt.Errorf(
				"limits[%d]: type must be Server, Namespace, User or SourceAndObject; qps and burst must be positive, cacheSize not negative", i)
		}
		if from.CacheSize == 0 {
			from.CacheSize = defaultEventKeys
		}
		limits = append(limits, &eventLimit{from.Type, rate.Limit(from.QPS), int(from.Burst), lru.New(int(from.CacheSize))})
	}
	validate := func(_ context.Context, a *admission.Attributes) error {
		if a.Kind.Kind != "Event" || a.DryRun {
			return nil
		}
		refused := ""
		for _, l := range limits { // all, so that each counts the event
			if key := eventKeys[l.kind](a); !l.allow(key) && refused == "" {
				refused = fmt.Sprintf("limit reached on type %v for key %v", l.kind, key)
			}
		}
		if refused != "" {
			return apierrors.NewTooManyRequestsError(refused)
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Validate: validate}, nil
}
