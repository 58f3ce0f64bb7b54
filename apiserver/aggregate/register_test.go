package aggregate

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// TestWhatIsDoneAboutAnAPIService for each combination that upstream's table has.
func TestWhatIsDoneAboutAnAPIService(t *testing.T) {
	t.Parallel()
	of := func(managed string, priority int32) *apiregistrationv1.APIService {
		return localService(schema.GroupVersion{Group: "example.com", Version: "v1"}, priority, 1, managed)
	}
	for name, c := range map[string]struct {
		current, desired *apiregistrationv1.APIService
		done, early      bool
		want             action
	}{
		"neither":                               {want: leave},
		"missing, once":                         {desired: of(managedOnStart, 1), want: create},
		"missing, once, but somebody deleted":   {desired: of(managedOnStart, 1), done: true, want: leave},
		"missing, always":                       {desired: of(managedAlways, 1), done: true, want: create},
		"somebody's":                            {current: of("", 1), desired: of(managedAlways, 2), want: leave},
		"once, made by another server meantime": {current: of(managedOnStart, 1), desired: of(managedOnStart, 2), want: leave},
		"once, of another version, there early": {current: of(managedOnStart, 1), desired: of(managedOnStart, 2), early: true, want: update},
		"once, there early, no longer served":   {current: of(managedOnStart, 1), early: true, want: remove},
		"once, there early, done":               {current: of(managedOnStart, 1), early: true, done: true, want: leave},
		"always, no longer served":              {current: of(managedAlways, 1), done: true, want: remove},
		"always, changed":                       {current: of(managedAlways, 1), desired: of(managedAlways, 2), done: true, want: update},
		"always, as it should be":               {current: of(managedAlways, 1), desired: of(managedAlways, 1), want: leave},
	} {
		if got := decide(c.current, c.desired, c.done, c.early); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
