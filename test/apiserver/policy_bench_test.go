package apiserver

import (
	"fmt"
	"testing"

	registrationv1 "k8s.io/api/admissionregistration/v1"
)

// BenchmarkCreateWithPolicies is what a creation costs with so many policies that look at it, in process.
func BenchmarkCreateWithPolicies(b *testing.B) {
	for _, count := range []int{0, 1, 50} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			server := StartComplete(b)
			set := server.InProcess("admin", "system:masters")
			for i := range count {
				checks(b, set, fmt.Sprintf("p%d", i), registrationv1.ValidatingAdmissionPolicySpec{
					MatchConstraints: about("", "configmaps"),
					Validations:      []registrationv1.Validation{{Expression: "object.metadata.name.startsWith('c') && size(object.data) < 10"}},
				}, nil)
			}
			made := 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := makeMap(b.Context(), set, fmt.Sprintf("c%d", made), map[string]string{"a": "b"}); err != nil {
					b.Fatal(err)
				}
				made++
			}
		})
	}
}
