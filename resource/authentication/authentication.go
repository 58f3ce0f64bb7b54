// Package authentication holds the reviews of who somebody is; none is stored.
package authentication

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		SelfSubjectReviews(),
		TokenReviews(),
	}
}
