// Package resourceapi holds the kinds of dynamic resource allocation, resource.k8s.io.
package resourceapi

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		DeviceClasses(),
		ResourceClaims(),
		ResourceClaimTemplates(),
		ResourceSlices(),
	}
}
