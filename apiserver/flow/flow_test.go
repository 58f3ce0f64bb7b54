package flow

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// tiny is a Fairness of few seats with all objects that a cluster has.
func tiny(seats int, more ...*flowcontrolv1.PriorityLevelConfiguration) *Fairness {
	f := New(Config{Seats: seats, Resources: &rest.Registry{}})
	f.digest(append(levels(), more...), schemas())
	return f
}

func state(verb, user string, groups ...string) *request.State {
	return &request.State{
		Info:     request.Info{IsResource: true, Prefix: "api", Verb: verb, Version: "v1", Resource: "pods", Namespace: "default", Name: "p"},
		User:     resource.User{Name: user, Groups: groups},
		Received: time.Now(),
	}
}

// TestRequestsAreSortedAsUpstreamSortsThem by who asks and for what.
func TestRequestsAreSortedAsUpstreamSortsThem(t *testing.T) {
	t.Parallel()
	f := tiny(600)
	lease := func(verb string) func(*request.State) {
		return func(s *request.State) {
			s.Verb, s.Group, s.Resource, s.Namespace = verb, "coordination.k8s.io", "leases", "kube-system"
		}
	}
	path := func(path string) func(*request.State) {
		return func(s *request.State) { s.Info = request.Info{Verb: "get", Path: path} }
	}
	for _, c := range []struct {
		user, group string
		change      func(*request.State)
		want        string
	}{
		{"admin", "system:masters", nil, "exempt"},
		{"jane", "system:authenticated", nil, "global-default"},
		{"system:anonymous", "system:unauthenticated", path("/readyz"), "probes"},
		{"system:anonymous", "system:unauthenticated", path("/readyz/etcd"), "probes"},
		{"system:anonymous", "system:unauthenticated", path("/readyzed"), "global-default"},
		{"system:kube-scheduler", "system:authenticated", nil, "kube-scheduler"},
		{"system:kube-scheduler", "system:authenticated", lease("update"), "system-leader-election"},
		{"system:kube-scheduler", "system:authenticated", lease("list"), "kube-scheduler"},
		{"system:kube-controller-manager", "system:authenticated", nil, "kube-controller-manager"},
		{"system:node:n", "system:nodes", nil, "system-nodes"},
		{"system:node:n", "system:nodes", lease("update"), "system-node-high"},
		{"system:node:n", "system:nodes", func(s *request.State) { s.Resource, s.Subresource, s.Namespace = "nodes", "status", "" }, "system-node-high"},
		{"system:serviceaccount:kube-system:c", "system:serviceaccounts", nil, "kube-system-service-accounts"},
		{"system:serviceaccount:kube-systemd:c", "system:serviceaccounts", nil, "service-accounts"},
		{"nobody", "", nil, "catch-all"},
	} {
		s := state("get", c.user, c.group)
		if c.change != nil {
			c.change(s)
		}
		if got := f.table.Load().match(&s.Info, &s.User).object.Name; got != c.want {
			t.Errorf("%s of %s for %s %s%s: %s, want %s", c.user, c.group, s.Verb, s.Resource, s.Path, got, c.want)
		}
	}
}

// TestSeatsAreDividedByShares as upstream's defaults come out with 600 seats.
func TestSeatsAreDividedByShares(t *testing.T) {
	t.Parallel()
	f := tiny(600)
	for name, want := range map[string]limits{
		"system": {74, 50, 674}, "node-high": {98, 73, 698}, "leader-election": {25, 25, 625}, "workload-high": {98, 49, 698},
		"workload-low": {245, 24, 845}, "global-default": {49, 24, 649}, "catch-all": {13, 13, 613}, "exempt": {0, 0, 600},
	} {
		if got := f.levels[name].limits; got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	total := 0
	for _, l := range f.levels {
		total += l.current
	}
	if total < 595 || total > 610 {
		t.Errorf("%d seats are given out of 600", total)
	}
}

// TestSeatsGoWhereTheyAreWanted within what levels may lend and borrow.
func TestSeatsGoWhereTheyAreWanted(t *testing.T) {
	t.Parallel()
	seats, _ := lend([]claimant{
		{limits: limits{100, 10, 700}, highest: 0, smoothed: 0},    // idle: lends all but ten
		{limits: limits{100, 50, 700}, highest: 90, smoothed: 300}, // busy
		{limits: limits{0, 0, 600}, exempt: true, highest: 7},
	})
	if seats[0] != 10 || seats[1] != 190 || seats[2] != 7 {
		t.Errorf("%v", seats)
	}
	seats, _ = lend([]claimant{
		{limits: limits{100, 60, 700}, highest: 100, smoothed: 100},
		{limits: limits{0, 0, 600}, exempt: true, highest: 80}, // takes so many that not even the floor is left
	})
	if seats[0] != 60 {
		t.Errorf("%v", seats)
	}
}

// enter lets a request in and tells what it was answered, if it was.
func enter(f request.Flow, ctx context.Context, s *request.State) (request.Ticket, *httptest.ResponseRecorder) {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/namespaces/default/pods/p", nil)
	ticket, ok := f.Enter(w, r, s)
	if !ok {
		return nil, w
	}
	return ticket, nil
}

// rejecting is a level of one seat without queues.
func rejecting() (*flowcontrolv1.PriorityLevelConfiguration, *flowcontrolv1.FlowSchema) {
	one, none := int32(1), int32(0)
	return levelObject("narrow", flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: &one, LendablePercent: &none, BorrowingLimitPercent: &none,
				LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
			},
		}),
		schemaObject("narrow", "narrow", 50, byUser, everything(users("jane")))
}

func TestWhatFindsNoSeatIsToldWhenToComeAgain(t *testing.T) {
	t.Parallel()
	level, schema := rejecting()
	level.UID, schema.UID = "level-uid", "schema-uid"
	f := New(Config{Seats: 10, Resources: &rest.Registry{}})
	f.digest(append(levels(), level), append(schemas(), schema))
	first, _ := enter(f, t.Context(), state("get", "jane"))
	_, answer := enter(f, t.Context(), state("get", "jane"))
	if answer == nil || answer.Code != 429 || answer.Header().Get("Retry-After") != "1" || answer.Body.String() != "Too many requests, please try again later.\n" {
		t.Fatalf("%v", answer)
	}
	if answer.Header().Get("X-Kubernetes-PF-FlowSchema-UID") != "schema-uid" || answer.Header().Get("X-Kubernetes-PF-PriorityLevel-UID") != "level-uid" {
		t.Errorf("%v", answer.Header())
	}
	first.Leave()
	again, answer := enter(f, t.Context(), state("get", "jane"))
	if answer != nil {
		t.Fatal(answer.Body)
	}
	again.End()
	first.End()
	if !f.levels["narrow"].idle() {
		t.Error("a seat is still taken")
	}
}

// TestAWaitingRequestRunsWhenASeatIsFree or is refused when its time is up.
func TestAWaitingRequestRunsWhenASeatIsFree(t *testing.T) {
	t.Parallel()
	level, schema := rejecting()
	level.Spec.Limited.LimitResponse = flowcontrolv1.LimitResponse{
		Type: flowcontrolv1.LimitResponseTypeQueue, Queuing: &flowcontrolv1.QueuingConfiguration{Queues: 2, HandSize: 1, QueueLengthLimit: 1},
	}
	f := New(Config{Seats: 10, Wait: time.Minute, Resources: &rest.Registry{}})
	f.digest(append(levels(), level), append(schemas(), schema))
	first, _ := enter(f, t.Context(), state("get", "jane"))
	var group sync.WaitGroup
	group.Go(func() {
		second, answer := enter(f, t.Context(), state("get", "jane"))
		if answer != nil {
			t.Errorf("%d", answer.Code)
			return
		}
		second.End()
	})
	for waiting := 0; waiting == 0; {
		l := f.levels["narrow"]
		l.mu.Lock()
		waiting, _, _, _ = l.set.Counts()
		l.mu.Unlock()
	}
	w := httptest.NewRecorder()
	f.Dumps()["/debug/api_priority_and_fairness/dump_requests"].ServeHTTP(w, httptest.NewRequest("GET", "/?includeRequestDetails=1", nil))
	if dump := w.Body.String(); strings.Count(dump, "jane") != 4 || !strings.Contains(dump, "/v1") && !strings.Contains(dump, "v1,") {
		t.Errorf("%s", dump)
	}
	if _, answer := enter(f, t.Context(), state("get", "jane")); answer == nil {
		t.Error("a third one finds a place though the queue is full")
	}
	first.End()
	group.Wait()

	holder, _ := enter(f, t.Context(), state("get", "jane"))
	defer holder.End()
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(40*time.Millisecond))
	defer cancel()
	if _, answer := enter(f, ctx, state("get", "jane")); answer == nil {
		t.Error("a request runs though there is no seat")
	}
	if got := f.levels["narrow"].flows["narrow"].rejected; got["time-out"] != 1 || got["queue-full"] != 1 {
		t.Errorf("rejected: %v", got)
	}
}

func TestALevelThatIsNoLongerWantedIsEmptiedFirst(t *testing.T) {
	t.Parallel()
	level, schema := rejecting()
	f := New(Config{Seats: 10, Resources: &rest.Registry{}})
	f.digest(append(levels(), level), append(schemas(), schema))
	ticket, _ := enter(f, t.Context(), state("get", "jane"))
	f.digest(levels(), schemas())
	if l := f.levels["narrow"]; l == nil || !l.quiescing {
		t.Fatal("the level is gone though somebody is in it")
	}
	s := state("get", "jane", "system:authenticated")
	if got := f.table.Load().match(&s.Info, &s.User).object.Name; got != "global-default" {
		t.Errorf("requests still go to it: %s", got)
	}
	ticket.End()
	f.digest(levels(), schemas())
	if f.levels["narrow"] != nil {
		t.Error("the level stays though nobody is in it")
	}
}

func TestManyWatchersMakeAWriteWider(t *testing.T) {
	t.Parallel()
	f := tiny(600)
	watch := state("watch", "system:node:n", "system:nodes")
	watch.Name = ""
	for range 35 {
		ticket, answer := enter(f, t.Context(), watch)
		if answer != nil {
			t.Fatal(answer.Body)
		}
		ticket.Leave()
		t.Cleanup(ticket.End)
	}
	write := state("update", "system:kube-controller-manager")
	c := f.table.Load().match(&write.Info, &write.User)
	got := f.estimate(httptest.NewRequest("PUT", "/", nil), write, c)
	if got.Seats != 1 || got.Final != 4 || got.Extra != eventTime {
		t.Errorf("%+v", got)
	}
	elsewhere := state("update", "system:kube-controller-manager")
	elsewhere.Namespace = "other"
	if got := f.estimate(httptest.NewRequest("PUT", "/", nil), elsewhere, c); got.Final != 0 {
		t.Errorf("where nobody watches: %+v", got)
	}
}

func TestRetryAfterGrowsWithRefusals(t *testing.T) {
	t.Parallel()
	r := &retryAfter{}
	r.seconds.Store(1)
	now := int64(1000)
	for range 20 {
		for range 100 {
			r.drop(now)
		}
		now++
	}
	if got := r.after(); got < 8 {
		t.Errorf("after twenty bad seconds %d", got)
	}
	for range 100 {
		now += 10
		r.drop(now)
	}
	if got := r.after(); got > 2 {
		t.Errorf("after quiet ones %d", got)
	}
}

// TestObjectsAreKeptAsTheirAnnotationsSay like upstream's.
func TestObjectsAreKeptAsTheirAnnotationsSay(t *testing.T) {
	t.Parallel()
	changed := func(name, annotation string, generation int64) []*flowcontrolv1.PriorityLevelConfiguration {
		have := levels()
		for _, one := range have {
			if one.Name == name {
				one.Generation, one.Spec.Limited.LendablePercent = generation, new(int32)
				*one.Spec.Limited.LendablePercent = 77
				one.Annotations[flowcontrolv1.AutoUpdateAnnotationKey] = annotation
			}
		}
		return have
	}
	stale := append(levels(), levelObject("of-an-older-version", flowcontrolv1.PriorityLevelConfigurationSpec{}))
	free := levels()
	free[len(free)-2].Spec.Exempt.LendablePercent = new(int32)
	*free[len(free)-2].Spec.Exempt.LendablePercent = 50
	for name, c := range map[string]struct {
		have []*flowcontrolv1.PriorityLevelConfiguration
		want string
	}{
		"all there":                       {levels(), ""},
		"one missing":                     {levels()[1:], "create system"},
		"changed, but it is kept":         {changed("system", "true", 2), "update system to 33 true"},
		"changed by somebody who said so": {changed("system", "false", 2), ""},
		"changed, annotation broken":      {changed("system", "?", 2), "update system to 77 false"},
		"mandatory":                       {changed("catch-all", "false", 2), "update catch-all to 0 true"},
		"no longer suggested":             {stale, "delete of-an-older-version"},
		"the exempt level's shares":       {free, ""},
	} {
		var did []string
		plan(levels(), c.have, mandatoryLevels(), sameLevel, func(wanted, have *flowcontrolv1.PriorityLevelConfiguration) {
			switch {
			case have == nil:
				did = append(did, "create "+wanted.Name)
			case wanted == nil:
				did = append(did, "delete "+have.Name)
			default:
				percent := map[int32]string{0: "0", 33: "33", 77: "77"}[*wanted.Spec.Limited.LendablePercent]
				did = append(did, "update "+have.Name+" to "+percent+" "+have.Annotations[flowcontrolv1.AutoUpdateAnnotationKey])
			}
		})
		if got := strings.Join(did, ", "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestPlainLimitsRefuseButAdministrators(t *testing.T) {
	t.Parallel()
	f := NewInFlight(1, 0)
	first, _ := enter(f, t.Context(), state("get", "jane"))
	if _, answer := enter(f, t.Context(), state("list", "jane")); answer == nil || answer.Code != 429 {
		t.Error("a second read is let in")
	}
	if _, answer := enter(f, t.Context(), state("get", "admin", "system:masters")); answer != nil {
		t.Error("an administrator is refused")
	}
	if _, answer := enter(f, t.Context(), state("update", "jane")); answer != nil {
		t.Error("writes have no limit, but one is refused")
	}
	first.End()
	if again, answer := enter(f, t.Context(), state("get", "jane")); answer != nil {
		t.Error("refused though nobody reads")
	} else {
		again.End()
	}
}

// BenchmarkUncontended is what a request pays that finds a seat at once.
func BenchmarkUncontended(b *testing.B) {
	f := tiny(600)
	s := state("get", "system:serviceaccount:default:app", "system:serviceaccounts", "system:authenticated")
	r := httptest.NewRequest(http.MethodGet, "/api/v1/namespaces/default/pods/p", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		ticket, _ := f.Enter(w, r, s)
		ticket.End()
	}
}
