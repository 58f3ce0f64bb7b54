package endpointslicemirroring

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/controltest"
)

func custom(subsets ...corev1.EndpointSubset) *corev1.Endpoints {
	return &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "db", UID: "e-1", Labels: map[string]string{"team": "a"},
			Annotations: map[string]string{"note": "n", corev1.LastAppliedConfigAnnotation: "{}"},
		},
		Subsets: subsets,
	}
}

func subset(port int32, ready, unready []string) corev1.EndpointSubset {
	s := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: "sql", Port: port, Protocol: corev1.ProtocolTCP}}}
	for _, ip := range ready {
		s.Addresses = append(s.Addresses, corev1.EndpointAddress{IP: ip})
	}
	for _, ip := range unready {
		s.NotReadyAddresses = append(s.NotReadyAddresses, corev1.EndpointAddress{IP: ip})
	}
	return s
}

// describe renders slices as "IPv4 5432 10.0.0.1 (10.0.0.2)", sorted.
func describe(all []*discoveryv1.EndpointSlice) string {
	var lines []string
	for _, slice := range all {
		line := fmt.Sprintf("%s %d", slice.AddressType, *slice.Ports[0].Port)
		for _, endpoint := range slice.Endpoints {
			if *endpoint.Conditions.Ready {
				line += " " + endpoint.Addresses[0]
			} else {
				line += " (" + endpoint.Addresses[0] + ")"
			}
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func TestPlanCreates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name             string
		endpoints        *corev1.Endpoints
		want             string
		invalid, skipped int
	}{
		{"nothing", custom(), "", 0, 0},
		{"ready and not", custom(subset(1, []string{"10.0.0.2"}, []string{"10.0.0.1"})), "IPv4 1 (10.0.0.1) 10.0.0.2", 0, 0},
		{"two families", custom(subset(1, []string{"10.0.0.2", "fd00::1"}, nil)), "IPv4 1 10.0.0.2; IPv6 1 fd00::1", 0, 0},
		{"two ports", custom(subset(1, []string{"10.0.0.1"}, nil), subset(2, []string{"10.0.0.1"}, nil)), "IPv4 1 10.0.0.1; IPv4 2 10.0.0.1", 0, 0},
		{"the same ports twice", custom(subset(1, []string{"10.0.0.1"}, nil), subset(1, []string{"10.0.0.2"}, nil)), "IPv4 1 10.0.0.1 10.0.0.2", 0, 0},
		{"no address", custom(subset(1, []string{"db.example.com", "10.0.0.1"}, nil)), "IPv4 1 10.0.0.1", 1, 0},
		{"too many", custom(subset(1, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, []string{"10.0.0.4"})), "IPv4 1 10.0.0.1 10.0.0.2", 0, 2},
	} {
		changes := Plan(test.endpoints, nil, 2)
		if got := describe(changes.Create); got != test.want || changes.Invalid != test.invalid || changes.Skipped != test.skipped {
			t.Errorf("%s: %q, %d invalid, %d skipped", test.name, got, changes.Invalid, changes.Skipped)
		}
	}
}

func TestPlanChangesNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	before := Plan(custom(subset(1, []string{"10.0.0.1"}, nil), subset(2, []string{"10.0.0.1"}, nil)), nil, 1000).Create
	slice := before[0]
	if slice.Labels["team"] != "a" || slice.Labels[discoveryv1.LabelServiceName] != "db" || slice.Labels[discoveryv1.LabelManagedBy] != ManagedBy {
		t.Errorf("labels: %v", slice.Labels)
	}
	if len(slice.Annotations) != 1 || slice.Annotations["note"] != "n" {
		t.Errorf("annotations: %v", slice.Annotations)
	}
	if owner := slice.OwnerReferences[0]; owner.Kind != "Endpoints" || owner.APIVersion != "v1" || owner.UID != "e-1" {
		t.Errorf("owner: %v", owner)
	}
	timed := custom(subset(2, []string{"10.0.0.1"}, nil), subset(1, []string{"10.0.0.1"}, nil))
	timed.Annotations[corev1.EndpointsLastChangeTriggerTime] = "2026-01-01T00:00:00Z"
	if same := Plan(timed, before, 1000); len(same.Create)+len(same.Update)+len(same.Delete) > 0 {
		t.Errorf("changed without need: %+v", same)
	}
	changes := Plan(custom(subset(1, []string{"10.0.0.9"}, nil)), before, 1000)
	if len(changes.Create) != 0 || describe(changes.Update) != "IPv4 1 10.0.0.9" || describe(changes.Delete) != "IPv4 2 10.0.0.1" {
		t.Errorf("create %q, update %q, delete %q", describe(changes.Create), describe(changes.Update), describe(changes.Delete))
	}
}

// Custom Endpoints are mirrored while they are, change with them, and end when they ask for it.
//
// conformance: EndpointSlice Mirroring
func TestMirroring(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	endpoints := custom(subset(1, []string{"10.0.0.1"}, nil))
	w := controltest.New(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"}}, endpoints)
	w.Run(w.Must(New(w.Set, w.Events, 1, 1000, 0)))
	shows := func(want string) {
		t.Helper()
		w.Eventually(func() string {
			list, err := w.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{})
			if err != nil {
				return err.Error()
			}
			var all []*discoveryv1.EndpointSlice
			for i := range list.Items {
				all = append(all, &list.Items[i])
			}
			if got := describe(all); got != want {
				return fmt.Sprintf("%q, not %q", got, want)
			}
			return ""
		})
	}
	update := func(edit func(*corev1.Endpoints)) {
		t.Helper()
		edit(endpoints)
		var err error
		if endpoints, err = w.CoreV1().Endpoints("default").Update(ctx, endpoints, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	shows("IPv4 1 10.0.0.1")
	update(func(e *corev1.Endpoints) { e.Subsets[0].Addresses[0].IP = "10.0.0.2" })
	shows("IPv4 1 10.0.0.2")
	update(func(e *corev1.Endpoints) { e.Labels[discoveryv1.LabelSkipMirror] = "true" })
	shows("")
	update(func(e *corev1.Endpoints) { delete(e.Labels, discoveryv1.LabelSkipMirror) })
	shows("IPv4 1 10.0.0.2")
	if err := w.CoreV1().Endpoints("default").Delete(ctx, "db", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	shows("")
}

func TestServicesWithSelectorsAreNotMirrored(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"a": "b"}}}
	leftOver := Plan(custom(subset(1, []string{"10.0.0.1"}, nil)), nil, 1000).Create[0]
	leftOver.Name = "db-old"
	w := controltest.New(t, service, custom(subset(1, []string{"10.0.0.1"}, nil)), leftOver)
	w.Run(w.Must(New(w.Set, w.Events, 1, 1000, 0)))
	w.Eventually(func() string {
		list, err := w.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		if len(list.Items) > 0 {
			return "there are slices"
		}
		return ""
	})
}
