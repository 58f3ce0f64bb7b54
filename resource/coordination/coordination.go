// Package coordination holds Leases.
package coordination

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		Leases(),
	}
}
