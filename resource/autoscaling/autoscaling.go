// Package autoscaling holds HorizontalPodAutoscalers in both served versions; v1 objects are kept as v2.
package autoscaling

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group.
func Kinds() []*resource.Kind {
	stored := HorizontalPodAutoscalers()
	return []*resource.Kind{stored, HorizontalPodAutoscalersV1(stored)}
}
