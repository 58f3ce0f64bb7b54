package rest

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// resets are the fields that writes cannot change, so that nobody comes to own them there, where a kind differs from what reset
// says of all: by subresource, as paths. They are upstream's, down to where it lets writers of a status own labels that it then keeps.
var resets = map[schema.GroupKind]map[string][]string{
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"}:  {"status": {"spec", "metadata"}},
	{Group: "apiregistration.k8s.io", Kind: "APIService"}:                       {"status": {"spec", "metadata"}},
	{Group: "flowcontrol.apiserver.k8s.io", Kind: "FlowSchema"}:                 {"status": {"spec", "metadata"}},
	{Group: "flowcontrol.apiserver.k8s.io", Kind: "PriorityLevelConfiguration"}: {"status": {"spec", "metadata"}},
	{Group: "networking.k8s.io", Kind: "ServiceCIDR"}:                           {"status": {"spec", "metadata"}},
	{Group: "resource.k8s.io", Kind: "ResourceClaim"}:                           {"status": {"spec", "metadata"}},
	{Group: "storage.k8s.io", Kind: "VolumeAttachment"}:                         {"status": {"spec", "metadata"}},
	{Group: "apps", Kind: "Deployment"}:                                         {"status": {"spec", "metadata.labels"}},
	{Kind: "Pod"}:                                                               {"status": {"spec", "metadata.deletionTimestamp", "metadata.ownerReferences"}},
	{Group: "certificates.k8s.io", Kind: "CertificateSigningRequest"}: {
		"":         {"spec", "status"},
		"approval": {"spec", "status.certificate"},
		"status":   {"spec", "status.conditions"},
	},
}

// reset are the paths of the fields that writes through a subresource cannot change.
func (r *Resource) reset(subresource string) []string {
	if r.View("status") == nil {
		return nil
	}
	if paths, differs := resets[r.groupKind()][subresource]; differs {
		return paths
	}
	switch {
	case subresource == "":
		return []string{"status"}
	case subresource == "status" && r.layout.unstructured:
		return []string{"metadata", "spec"}
	case subresource == "status":
		return r.layout.names
	}
	return nil
}

// flat parts paths into fields of the object and of its metadata; not ok if there are others.
func flat(paths []string) (fields, ofMetadata []string, ok bool) {
	for _, path := range paths {
		parent, name, nested := strings.Cut(path, ".")
		switch {
		case !nested:
			fields = append(fields, parent)
		case parent == "metadata":
			ofMetadata = append(ofMetadata, name)
		default:
			return nil, nil, false
		}
	}
	return fields, ofMetadata, true
}

// resetFields is reset as apimachinery takes it.
func (r *Resource) resetFields(subresource string) map[fieldpath.APIVersion]fieldpath.Filter {
	paths := r.reset(subresource)
	if len(paths) == 0 {
		return nil
	}
	set := fieldpath.NewSet()
	for _, path := range paths {
		var elements []any
		for _, name := range strings.Split(path, ".") {
			elements = append(elements, name)
		}
		set.Insert(fieldpath.MakePathOrDie(elements...))
	}
	return map[fieldpath.APIVersion]fieldpath.Filter{
		fieldpath.APIVersion(r.GroupVersionKind.GroupVersion().String()): fieldpath.NewExcludeSetFilter(set),
	}
}
