// Package builtin lists every kind that the server has from the start.
package builtin

import (
	"sync"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/admissionregistration"
	"github.com/septet-io/septet/resource/apiextensions"
	"github.com/septet-io/septet/resource/apiregistration"
	"github.com/septet-io/septet/resource/apps"
	"github.com/septet-io/septet/resource/authentication"
	"github.com/septet-io/septet/resource/authorization"
	"github.com/septet-io/septet/resource/autoscaling"
	"github.com/septet-io/septet/resource/batch"
	"github.com/septet-io/septet/resource/certificates"
	"github.com/septet-io/septet/resource/coordination"
	"github.com/septet-io/septet/resource/core"
	"github.com/septet-io/septet/resource/discovery"
	"github.com/septet-io/septet/resource/events"
	"github.com/septet-io/septet/resource/flowcontrol"
	"github.com/septet-io/septet/resource/networking"
	"github.com/septet-io/septet/resource/node"
	"github.com/septet-io/septet/resource/policy"
	"github.com/septet-io/septet/resource/rbac"
	"github.com/septet-io/septet/resource/resourceapi"
	"github.com/septet-io/septet/resource/scheduling"
	"github.com/septet-io/septet/resource/storage"
)

// groups are in the order in which upstream's /apis lists them, which is that of clients' preference.
var groups = []func() []*resource.Kind{
	core.Kinds,
	apiregistration.Kinds,
	apps.Kinds,
	events.Kinds,
	authentication.Kinds,
	authorization.Kinds,
	autoscaling.Kinds,
	batch.Kinds,
	certificates.Kinds,
	networking.Kinds,
	policy.Kinds,
	rbac.Kinds,
	storage.Kinds,
	admissionregistration.Kinds,
	apiextensions.Kinds,
	scheduling.Kinds,
	coordination.Kinds,
	node.Kinds,
	discovery.Kinds,
	resourceapi.Kinds,
	flowcontrol.Kinds,
}

// All returns every built-in kind, group by group. They are made on the first call and shared by all callers,
// who must not change them.
var All = sync.OnceValue(func() []*resource.Kind {
	var all []*resource.Kind
	for _, kinds := range groups {
		all = append(all, kinds()...)
	}
	return all
})
