package discovery

import (
	"k8s.io/apimachinery/pkg/version"
)

// byVersion puts stable versions first, then beta and alpha, newer ones first.
func byVersion(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) }
