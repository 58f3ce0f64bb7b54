package discovery

import "k8s.io/apimachinery/pkg/runtime/schema"

// Priority is the place of a group version in lists: groups of higher Group come first, and in a group versions of higher Version.
type Priority struct{ Group, Version int32 }

// CustomPriority is that of all custom resources.
var CustomPriority = Priority{1000, 100}

// first is above all others: the group by which servers are added to this one.
const first = 20000

// groupPriorities are upstream's, by group; they are also written into the APIServices of what is served here.
var groupPriorities = map[string]int32{
	"": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600, "autoscaling": 17500,
	"batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100, "rbac.authorization.k8s.io": 17000,
	"storage.k8s.io": 16800, "admissionregistration.k8s.io": 16700, "apiextensions.k8s.io": 16700, "scheduling.k8s.io": 16600,
	"coordination.k8s.io": 16500, "node.k8s.io": 16300, "discovery.k8s.io": 16200, "resource.k8s.io": 16200,
	"flowcontrol.apiserver.k8s.io": 16100, "internal.apiserver.k8s.io": 16000, "storagemigration.k8s.io": 15800,
	"apiregistration.k8s.io": first,
}

// versionPriorities are those that differ from what a stable version has.
var versionPriorities = map[schema.GroupVersion]int32{
	{Group: "", Version: "v1"}: 1, {Group: "autoscaling", Version: "v2"}: 30, {Group: "flowcontrol.apiserver.k8s.io", Version: "v1"}: 21,
	{Group: "resource.k8s.io", Version: "v1"}: 21,
}

const stableVersion = 15

// PriorityOf is that of a group version of built-in kinds; false for others.
func PriorityOf(gv schema.GroupVersion) (Priority, bool) {
	group, known := groupPriorities[gv.Group]
	if !known {
		return CustomPriority, false
	}
	if version, differs := versionPriorities[gv]; differs {
		return Priority{group, version}, true
	}
	return Priority{group, stableVersion}, true
}
