package rest

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// deprecation is what upstream says about a kind that will not be developed further.
type deprecation struct {
	since       string // release in which it was deprecated
	replacement string // group, version and kind to use instead; may be empty
}

// deprecations are those of served versions. None of them is going to be removed.
var deprecations = map[schema.GroupVersionKind]deprecation{
	{Version: "v1", Kind: "ComponentStatus"}: {since: "1.19"},
	{Version: "v1", Kind: "Endpoints"}:       {since: "1.33", replacement: "discovery.k8s.io/v1 EndpointSlice"},
}

// deprecationOf is the warning for requests to a kind; empty if it is not deprecated.
func deprecationOf(gvk schema.GroupVersionKind) string {
	d, deprecated := deprecations[gvk]
	if !deprecated {
		return ""
	}
	version, kind := gvk.ToAPIVersionAndKind()
	text := fmt.Sprintf("%s %s is deprecated in v%s+", version, kind, d.since)
	if d.replacement != "" {
		text += "; use " + d.replacement
	}
	return text
}

// Deprecated says whether clients of the resource are warned that it is deprecated.
func (r *Resource) Deprecated() bool { return r.Deprecation != "" }
