package statefulset

import (
	"maps"
	"regexp"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/pods"
)

// memberName matches the names of Pods of a StatefulSet: the set's name and the ordinal.
var memberName = regexp.MustCompile("^(.*)-([0-9]+)$")

// member splits a Pod's name into its set's name and its ordinal; the ordinal is -1 if the name is not of that form.
func member(pod string) (set string, ordinal int) {
	parts := memberName.FindStringSubmatch(pod)
	if parts == nil {
		return "", -1
	}
	n, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil {
		return parts[1], -1
	}
	return parts[1], int(n)
}

// isMember reports whether a Pod's name says that it is one of the set's.
func isMember(set *appsv1.StatefulSet, pod metav1.Object) bool {
	name, _ := member(pod.GetName())
	return name == set.Name
}

func podName(set *appsv1.StatefulSet, ordinal int) string {
	return set.Name + "-" + strconv.Itoa(ordinal)
}

func claimName(set *appsv1.StatefulSet, template *corev1.PersistentVolumeClaim, ordinal int) string {
	return template.Name + "-" + set.Name + "-" + strconv.Itoa(ordinal)
}

// first is the ordinal of the set's first Pod.
func first(set *appsv1.StatefulSet) int {
	if set.Spec.Ordinals == nil {
		return 0
	}
	return int(set.Spec.Ordinals.Start)
}

// build returns the Pod of an ordinal at a revision.
func build(set *appsv1.StatefulSet, template *corev1.PodTemplateSpec, revision string, ordinal int) *corev1.Pod {
	pod := pods.FromTemplate(template, set, own.Reference(set, Kind))
	pod.GenerateName = set.Name + "-"
	pod.Name = podName(set, ordinal)
	identify(pod, ordinal)
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = revision
	pod.Spec.Hostname, pod.Spec.Subdomain = pod.Name, set.Spec.ServiceName
	attach(set, pod, ordinal)
	return pod
}

// identify sets the labels that tell a Pod's name and ordinal, on a map of its own.
func identify(pod *corev1.Pod, ordinal int) {
	labels := maps.Clone(pod.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[appsv1.StatefulSetPodNameLabel] = pod.Name
	labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
	pod.Labels = labels
}

// attach puts the Pod's own claims among its volumes, instead of volumes of the template of the same names.
func attach(set *appsv1.StatefulSet, pod *corev1.Pod, ordinal int) {
	if len(set.Spec.VolumeClaimTemplates) == 0 {
		return
	}
	own := map[string]bool{}
	var volumes []corev1.Volume
	for i := range set.Spec.VolumeClaimTemplates {
		template := &set.Spec.VolumeClaimTemplates[i]
		own[template.Name] = true
		volumes = append(volumes, corev1.Volume{Name: template.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(set, template, ordinal)},
		}})
	}
	for _, volume := range pod.Spec.Volumes {
		if !own[volume.Name] {
			volumes = append(volumes, volume)
		}
	}
	pod.Spec.Volumes = volumes
}

// claims returns the PersistentVolumeClaims that the Pod of an ordinal needs.
func claims(set *appsv1.StatefulSet, ordinal int) []*corev1.PersistentVolumeClaim {
	var all []*corev1.PersistentVolumeClaim
	for i := range set.Spec.VolumeClaimTemplates {
		claim := set.Spec.VolumeClaimTemplates[i].DeepCopy()
		claim.Name, claim.Namespace = claimName(set, claim, ordinal), set.Namespace
		labels := maps.Clone(claim.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, set.Spec.Selector.MatchLabels)
		claim.Labels = labels
		all = append(all, claim)
	}
	return all
}

// revisionOf returns the name of the revision that a Pod was made at.
func revisionOf(pod *corev1.Pod) string { return pod.Labels[appsv1.ControllerRevisionHashLabelKey] }

// identified reports whether a Pod has the labels that tell its name and ordinal.
func identified(pod *corev1.Pod) bool {
	_, ordinal := member(pod.Name)
	return pod.Labels[appsv1.StatefulSetPodNameLabel] == pod.Name && pod.Labels[appsv1.PodIndexLabel] == strconv.Itoa(ordinal)
}

func ready(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning && pods.Ready(pod) }
