// Package certificates holds CertificateSigningRequests.
package certificates

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		CertificateSigningRequests(),
	}
}
