package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

// warnPod warns authors of new pods. Updates are left alone: people hardly make them.
func warnPod(_ *resource.Request, pod, old *corev1.Pod) []string {
	if old != nil {
		return nil
	}
	var warnings []string
	if wrong := validation.IsDNS1123Label(pod.Name); len(wrong) > 0 {
		warnings = append(warnings, fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", wrong))
	}
	return append(warnings, podWarnings(&pod.ObjectMeta, &pod.Spec, nil)...)
}

// WarnTemplate warns about a pod template, if it is new or has changed. path is that of the template.
func WarnTemplate(template, old *corev1.PodTemplateSpec, path *field.Path) []string {
	if template == nil || old != nil && apiequality.Semantic.DeepEqual(template, old) {
		return nil
	}
	return podWarnings(&template.ObjectMeta, &template.Spec, path)
}

// warner collects warnings; each begins with where it is about.
type warner []string

func (w *warner) at(path *field.Path, format string, args ...any) {
	*w = append(*w, path.String()+": "+fmt.Sprintf(format, args...))
}

func podWarnings(meta *metav1.ObjectMeta, spec *corev1.PodSpec, path *field.Path) []string {
	var w warner
	inSpec := path.Child("spec")
	w.annotations(meta.Annotations, path.Child("metadata", "annotations"))
	w.nodeLabels(spec, inSpec)
	w.volumes(spec.Volumes, inSpec.Child("volumes"))
	w.paths(spec.Volumes)
	w.selectors(spec, inSpec)
	seen := map[string]bool{}
	for i, alias := range spec.HostAliases {
		if at := inSpec.Child("hostAliases").Index(i).Child("ip"); seen[alias.IP] {
			w.at(at, "duplicate ip %q", alias.IP)
		}
		seen[alias.IP] = true
	}
	names := map[string]bool{}
	for i, secret := range spec.ImagePullSecrets {
		at := inSpec.Child("imagePullSecrets").Index(i)
		if secret.Name == "" {
			w.at(at.Child("name"), "invalid empty name %q", secret.Name)
		} else if names[secret.Name] {
			w.at(at.Child("name"), "duplicate name %q", secret.Name)
		}
		names[secret.Name] = true
	}
	if grace := spec.TerminationGracePeriodSeconds; grace != nil && *grace < 0 {
		w.at(inSpec.Child("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
	w.fractions(spec.Overhead, inSpec.Child("overhead"))
	eachContainer(spec, inSpec, w.container)
	w.ports(spec, inSpec)
	if spec.DNSConfig != nil {
		for i, server := range spec.DNSConfig.Nameservers {
			w = append(w, validation.GetWarningsForIP(inSpec.Child("dnsConfig", "nameservers").Index(i), server)...)
		}
	}
	return w
}

func (w *warner) annotations(annotations map[string]string, path *field.Path) {
	for key := range annotations {
		at := path.Key(key)
		switch {
		case key == corev1.SeccompPodAnnotationKey, strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix):
			w.at(at, "non-functional in v1.27+; use the \"seccompProfile\" field instead")
		case strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix):
			w.at(at, "deprecated since v1.30; use the \"appArmorProfile\" field instead")
		case key == "scheduler.alpha.kubernetes.io/critical-pod":
			w.at(at, "non-functional in v1.16+; use the \"priorityClassName\" field instead")
		}
	}
	slices.Sort(*w)
}

// oldNodeLabels says of labels of nodes that have newer names what to use instead.
var oldNodeLabels = map[string]string{
	"beta.kubernetes.io/arch":           `deprecated since v1.14; use "kubernetes.io/arch" instead`,
	"beta.kubernetes.io/os":             `deprecated since v1.14; use "kubernetes.io/os" instead`,
	corev1.LabelFailureDomainBetaRegion: `deprecated since v1.17; use "topology.kubernetes.io/region" instead`,
	corev1.LabelFailureDomainBetaZone:   `deprecated since v1.17; use "topology.kubernetes.io/zone" instead`,
	corev1.LabelInstanceType:            `deprecated since v1.17; use "node.kubernetes.io/instance-type" instead`,
}

func (w *warner) nodeLabels(spec *corev1.PodSpec, path *field.Path) {
	for key := range spec.NodeSelector {
		if text, ok := oldNodeLabels[key]; ok {
			w.at(path.Child("nodeSelector").Key(key), "%s", text)
		}
	}
	for i, c := range spec.TopologySpreadConstraints {
		if text, ok := oldNodeLabels[c.TopologyKey]; ok {
			w.at(path.Child("topologySpreadConstraints").Index(i).Child("topologyKey"), "%s is %s", c.TopologyKey, text)
		}
	}
	node := nodeAffinity(spec)
	if node == nil {
		return
	}
	at := path.Child("affinity", "nodeAffinity")
	for i := range requiredNodeTerms(node) {
		w.term(&requiredNodeTerms(node)[i], at.Child(requiredTerms, "nodeSelectorTerms").Index(i))
	}
	for i := range node.PreferredDuringSchedulingIgnoredDuringExecution {
		w.term(&node.PreferredDuringSchedulingIgnoredDuringExecution[i].Preference, at.Child(preferredTerms).Index(i).Child("preference"))
	}
}

func (w *warner) term(term *corev1.NodeSelectorTerm, path *field.Path) {
	for i, r := range term.MatchExpressions {
		if text, ok := oldNodeLabels[r.Key]; ok {
			w.at(path.Child("matchExpressions").Index(i).Child("key"), "%s is %s", r.Key, text)
		}
	}
}

// volumes warns about drivers that are gone.
func (w *warner) volumes(volumes []corev1.Volume, path *field.Path) {
	names := map[string]bool{}
	for i := range volumes {
		v, at := &volumes[i], path.Index(i)
		if names[v.Name] {
			w.at(at.Child("name"), "duplicate name %q", v.Name)
		}
		names[v.Name] = true
		for _, gone := range []struct {
			set        bool
			name, when string
		}{
			{v.PhotonPersistentDisk != nil, "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
			{v.GitRepo != nil, "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
			{v.ScaleIO != nil, "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
			{v.Flocker != nil, "flocker", "deprecated in v1.22, non-functional in v1.25+"},
			{v.StorageOS != nil, "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
			{v.Quobyte != nil, "quobyte", "deprecated in v1.22, non-functional in v1.25+"},
			{v.Glusterfs != nil, "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
			{v.CephFS != nil, "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
			{v.RBD != nil, "rbd", "deprecated in v1.28, non-functional in v1.31+"},
		} {
			if gone.set {
				w.at(at.Child(gone.name), "%s", gone.when)
			}
		}
		if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
			w.fractions(v.Ephemeral.VolumeClaimTemplate.Spec.Resources.Requests, at.Child("ephemeral", "volumeClaimTemplate", "spec", "resources", "requests"))
			w.fractions(v.Ephemeral.VolumeClaimTemplate.Spec.Resources.Limits, at.Child("ephemeral", "volumeClaimTemplate", "spec", "resources", "limits"))
		}
	}
}

// fractions warns about parts of bytes.
func (w *warner) fractions(list corev1.ResourceList, path *field.Path) {
	for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourceStorage} {
		if q, ok := list[name]; ok && q.MilliValue()%1000 != 0 {
			w.at(path.Key(string(name)), "fractional byte value %q is invalid, must be an integer", q.String())
		}
	}
}

func (w *warner) container(c *corev1.Container, path *field.Path) {
	w.fractions(c.Resources.Limits, path.Child("resources", "limits"))
	w.fractions(c.Resources.Requests, path.Child("resources", "requests"))
	seen := map[string]bool{}
	for i, v := range c.Env {
		// A variable may build upon its own former value.
		if own := "$(" + v.Name + ")"; seen[v.Name] && (v.ValueFrom != nil || v.Value == own || !strings.Contains(v.Value, own)) {
			w.at(path.Child("env").Index(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
		}
		seen[v.Name] = true
	}
}

// ports warns about ports that stand there twice, or whose name is another's too.
func (w *warner) ports(spec *corev1.PodSpec, path *field.Path) {
	type port struct {
		protocol corev1.Protocol
		number   int32
		hostPort int32
		hostIP   string
	}
	first, named := map[port]*field.Path{}, map[string]*field.Path{}
	for i := range spec.Containers {
		for j, p := range spec.Containers[i].Ports {
			at := path.Child("containers").Index(i).Child("ports").Index(j)
			if p.HostIP != "" && p.HostPort == 0 {
				w.at(at, "hostIP set without hostPort: %+v", p)
			}
			key := port{p.Protocol, p.ContainerPort, p.HostPort, p.HostIP}
			if before := first[key]; before != nil {
				w.at(at, "duplicate port definition with %s", before)
			} else {
				first[key] = at
			}
			if p.Name == "" {
				continue
			}
			if before := named[p.Name]; before != nil {
				w.at(at, "duplicate port name %q with %s, services and probes that select ports by name will use %s", p.Name, before, before)
			} else {
				named[p.Name] = at
			}
		}
	}
}

// WarnClaim warns about a claim for parts of bytes.
func WarnClaim(spec *corev1.PersistentVolumeClaimSpec, path *field.Path) []string {
	var w warner
	w.fractions(spec.Resources.Limits, path.Child("resources", "limits"))
	w.fractions(spec.Resources.Requests, path.Child("resources", "requests"))
	return w
}

// WarnName warns that pods which are named after a workload could not have that name as their host name.
func WarnName(name string) []string {
	if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
		return []string{fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", wrong)}
	}
	return nil
}
