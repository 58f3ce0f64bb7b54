// Package plugins are the admission plug-ins that a server has by default, a file each, and the order in which they run.
package plugins

import (
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	validation "k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/config"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/client"
)

// Env is what plug-ins may look at: the server's own objects, through its own clients.
type Env struct {
	// Set is the server's loopback client; its informers are started after the plug-ins are made.
	Set *client.Set
	// World has what is served, and who may do what.
	World *match.World
	// Config has the plug-ins' configurations; may be nil.
	Config *config.Config
	// NotReadySeconds and UnreachableSeconds are for how long Pods stay on such nodes if they do not say; nil: five minutes.
	NotReadySeconds, UnreachableSeconds *int64
}

// entry is a line of the table.
type entry struct {
	name string
	make func(*Env) (admission.Plugin, error)
	// off says that it runs only if --enable-admission-plugins names it.
	off bool
}

// all is every plug-in in upstream's order: what changes objects comes before what counts and refuses them.
var all = []entry{
	{name: "AlwaysAdmit", make: alwaysAdmit, off: true},
	{name: "NamespaceAutoProvision", make: namespaceAutoProvision, off: true},
	{name: "NamespaceLifecycle", make: namespaceLifecycle}, // nothing else matters in a namespace that is not there
	{name: "NamespaceExists", make: namespaceExists, off: true},
	{name: "LimitPodHardAntiAffinityTopology", make: limitAntiAffinity, off: true},
	{name: "LimitRanger", make: limitRanger},                      // fills in amounts, which quotas charge
	{name: "ServiceAccount", make: serviceAccount},                // adds volumes, which others look at
	{name: "NodeRestriction", make: nodeRestriction},              //
	{name: "TaintNodesByCondition", make: taintNodesByCondition},  //
	{name: "AlwaysPullImages", make: alwaysPullImages, off: true}, //
	{name: "ImagePolicyWebhook", make: imagePolicy, off: true},    //
	{name: "PodSecurity", make: podSecurity},                      //
	{name: "PodNodeSelector", make: podNodeSelector, off: true},
	{name: "Priority", make: priority},                           //
	{name: "DefaultTolerationSeconds", make: defaultTolerations}, //
	{name: "PodTolerationRestriction", make: podTolerations, off: true},
	{name: "EventRateLimit", make: eventRateLimit, off: true},
	{name: "ExtendedResourceToleration", make: extendedResourceToleration, off: true},
	{name: "DefaultStorageClass", make: defaultStorageClass},   //
	{name: "StorageObjectInUseProtection", make: storageInUse}, //
	{name: "PodGroupProtection", make: alwaysAdmit, off: true}, // about an API that is not stable, so not there; as are those like it
	{name: "OwnerReferencesPermissionEnforcement", make: ownerReferences, off: true},
	{name: "PersistentVolumeClaimResize", make: claimResize},           //
	{name: "RuntimeClass", make: runtimeClass},                         // adds overhead, which quotas charge
	{name: "CertificateApproval", make: certificateApproval},           //
	{name: "CertificateSigning", make: certificateSigning},             //
	{name: "ClusterTrustBundleAttest", make: alwaysAdmit, off: true},   //
	{name: "CertificateSubjectRestriction", make: certificateSubject},  //
	{name: "DefaultIngressClass", make: defaultIngressClass},           //
	{name: "DenyServiceExternalIPs", make: denyExternalIPs, off: true}, //
	{name: "PodTopologyLabels", make: podTopologyLabels},               //
	{name: "PodGroupWorkloadExists", make: alwaysAdmit, off: true},     //
	{name: "NodeDeclaredFeatureValidator", make: declaredFeatures},     //
	{name: "JobValidation", make: alwaysAdmit, off: true},              //
	{name: "PodResizeValidator", make: podResize},                      //
	{name: "MutatingAdmissionPolicy", make: mutatingPolicies},          // others' changes come after all of ours, which run again then
	{name: "MutatingAdmissionWebhook", make: mutatingWebhooks},         //
	{name: "ValidatingAdmissionPolicy", make: validatingPolicies},      //
	{name: "ValidatingAdmissionWebhook", make: validatingWebhooks},     //
	{name: "ResourceQuota", make: resourceQuota},                       // charges what nobody refuses any more
	{name: "AlwaysDeny", make: alwaysDeny, off: true},
}

// Names returns the names of all plug-ins in running order.
func Names() []string {
	var names []string
	for _, e := range all {
		names = append(names, e.name)
	}
	return names
}

// New makes the plug-ins that are on: the default ones, and those of enable, without those of disable. A name that
// no plug-in has is an error.
func New(env *Env, enable, disable []string) ([]admission.Plugin, error) {
	for _, name := range slices.Concat(enable, disable) {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("there is no admission plug-in %q; there are %v", name, Names())
		}
	}
	var made []admission.Plugin
	var idle []string
	for _, e := range all {
		if slices.Contains(disable, e.name) || e.off && !slices.Contains(enable, e.name) {
			idle = append(idle, e.name)
			continue
		}
		plugin, err := e.make(env)
		if err != nil {
			return nil, fmt.Errorf("admission plug-in %s: %w", e.name, err)
		}
		plugin.Name = e.name
		made = append(made, plugin)
	}
	return made, env.Config.Unread(idle)
}

// is says whether a request is for a resource itself or a subresource of it.
func is(a *admission.Attributes, group, resource, subresource string) bool {
	return a.Resource.Group == group && a.Resource.Resource == resource && a.Subresource == subresource
}

// named says whether there can be an object of that name. Nobody needs to be asked for others, nor can be: they do not fit into a URL.
func named(name string) bool { return len(validation.IsValidPathSegmentName(name)) == 0 }

// forbidden refuses a request, by the name that the object has or is to be generated from.
func forbidden(a *admission.Attributes, why error) error {
	return apierrors.NewForbidden(groupResource(a), a.ObjectName(), why)
}

func groupResource(a *admission.Attributes) schema.GroupResource { return a.Resource.GroupResource() }
