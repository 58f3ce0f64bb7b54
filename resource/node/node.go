// Package node holds RuntimeClasses.
package node

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		RuntimeClasses(),
	}
}
