// Package discovery holds EndpointSlices.
package discovery

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		EndpointSlices(),
	}
}
