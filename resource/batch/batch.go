// Package batch holds Jobs and CronJobs.
package batch

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		CronJobs(),
		Jobs(),
	}
}
