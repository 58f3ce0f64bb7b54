package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// selectors warns about terms that select nothing since they do not say what.
func (w *warner) selectors(spec *corev1.PodSpec, path *field.Path) {
	const nothing = "a null labelSelector results in matching no pod"
	for i := range spec.TopologySpreadConstraints {
		if spec.TopologySpreadConstraints[i].LabelSelector == nil {
			w.at(path.Child("topologySpreadConstraints").Index(i).Child("labelSelector"), nothing)
		}
	}
	if spec.Affinity == nil {
		return
	}
	terms := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm, at *field.Path) {
		for i := range required {
			if required[i].LabelSelector == nil {
				w.at(at.Child(requiredTerms).Index(i).Child("labelSelector"), nothing)
			}
		}
		for i := range preferred {
			if preferred[i].PodAffinityTerm.LabelSelector == nil {
				w.at(at.Child(preferredTerms).Index(i).Child("podAffinityTerm", "labelSelector"), nothing)
			}
		}
	}
	if a := spec.Affinity.PodAffinity; a != nil {
		terms(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, path.Child("affinity", "podAffinity"))
	}
	if a := spec.Affinity.PodAntiAffinity; a != nil {
		terms(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, path.Child("affinity", "podAntiAffinity"))
	}
}

// file is a path in a volume, and of which source if there are several.
type file struct{ path, source string }

func (f file) String() string {
	if f.source == "" {
		return fmt.Sprintf("%q", f.path)
	}
	return fmt.Sprintf("%q (%s)", f.path, f.source)
}

// overlaps says whether one of two paths is the other or a folder on the way to it.
func (f file) overlaps(other file) bool {
	return f.path != "" && other.path != "" && (strings.HasPrefix(f.path+"/", other.path+"/") || strings.HasPrefix(other.path+"/", f.path+"/"))
}

// paths warns about files of a volume that are in each other's way: the kubelet cannot write both.
func (w *warner) paths(volumes []corev1.Volume) {
	for i := range volumes {
		v := &volumes[i]
		switch {
		case v.ConfigMap != nil:
			w.overlaps(v.Name, fmt.Sprintf("ConfigMap %q", v.ConfigMap.Name), filesOf(v.ConfigMap.Items, ""))
		case v.Secret != nil:
			w.overlaps(v.Name, fmt.Sprintf("Secret %q", v.Secret.SecretName), filesOf(v.Secret.Items, ""))
		case v.DownwardAPI != nil:
			w.overlaps(v.Name, "DownwardAPI", downward(v.DownwardAPI.Items, ""))
		case v.Projected != nil:
			w.overlaps(v.Name, "Projected", w.projected(v.Name, v.Projected.Sources))
		}
	}
}

func (w *warner) overlaps(volume, kind string, files []file) {
	for i := range files {
		files[i].path = strings.TrimRight(files[i].path, "/")
		for _, before := range files[:i] {
			if files[i].overlaps(before) {
				*w = append(*w, fmt.Sprintf("volume %q (%s): overlapping paths: %s with %s", volume, kind, files[i], before))
			}
		}
	}
}

// projected are the files of all sources.
func (w *warner) projected(volume string, sources []corev1.VolumeProjection) []file {
	var files []file
	for i := range sources {
		switch s := &sources[i]; {
		case s.ConfigMap != nil:
			files = append(files, filesOf(s.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name))...)
		case s.Secret != nil:
			files = append(files, filesOf(s.Secret.Items, fmt.Sprintf("Secret %q", s.Secret.Name))...)
		case s.DownwardAPI != nil:
			files = append(files, downward(s.DownwardAPI.Items, "DownwardAPI")...)
		case s.ServiceAccountToken != nil:
			files = append(files, file{s.ServiceAccountToken.Path, "ServiceAccountToken"})
		default:
			*w = append(*w, fmt.Sprintf("volume %q (Projected) has no sources provided", volume))
		}
	}
	return files
}

func filesOf(items []corev1.KeyToPath, source string) []file {
	files := make([]file, 0, len(items))
	for _, item := range items {
		files = append(files, file{item.Path, source})
	}
	return files
}

func downward(items []corev1.DownwardAPIVolumeFile, source string) []file {
	files := make([]file, 0, len(items))
	for _, item := range items {
		files = append(files, file{item.Path, source})
	}
	return files
}
