package apiserver

import (
	"fmt"
	"strings"

	"github.com/septet-io/septet/apiserver/request"
)

// forbiddenText says who cannot do what.
func forbiddenText(s *request.State, reason string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "User %q cannot ", s.User.Name)
	if !s.IsResource {
		fmt.Fprintf(&b, "%s path %q", s.Verb, s.Path)
	} else {
		name := s.Resource
		if s.Subresource != "" {
			name += "/" + s.Subresource
		}
		fmt.Fprintf(&b, "%s resource %q in API group %q", s.Verb, name, s.Group)
		if s.Namespace != "" {
			fmt.Fprintf(&b, " in the namespace %q", s.Namespace)
		} else {
			b.WriteString(" at the cluster scope")
		}
	}
	if reason != "" {
		b.WriteString(": ")
		b.WriteString(reason)
	}
	return b.String()
}
