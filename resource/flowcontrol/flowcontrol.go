// Package flowcontrol holds flow schemas and priority levels.
package flowcontrol

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		FlowSchemas(),
		PriorityLevelConfigurations(),
	}
}
