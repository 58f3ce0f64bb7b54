package source

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/kubelet/spec"
)

// Prepare completes a pod with defaults and says whether it is valid.
type Prepare func(*v1.Pod) error

// parse reads the manifest of a pod or of a list of pods.
func parse(raw []byte) ([]*v1.Pod, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(raw, &kind); err != nil {
		return nil, fmt.Errorf("couldn't parse as pod: %w", err)
	}
	switch {
	case kind.Kind == "Pod" && kind.APIVersion == "v1":
		pod := &v1.Pod{}
		if err := yaml.UnmarshalStrict(raw, pod); err != nil {
			return nil, fmt.Errorf("couldn't parse as pod: %w", err)
		}
		return []*v1.Pod{pod}, nil
	case (kind.Kind == "PodList" || kind.Kind == "List") && kind.APIVersion == "v1":
		list := &v1.PodList{}
		if err := yaml.UnmarshalStrict(raw, list); err != nil {
			return nil, fmt.Errorf("couldn't parse as a list of pods: %w", err)
		}
		pods := make([]*v1.Pod, len(list.Items))
		for i := range list.Items {
			pods[i] = &list.Items[i]
		}
		return pods, nil
	}
	return nil, fmt.Errorf("couldn't parse as pod: it is a %q of %q, not a Pod of v1", kind.Kind, kind.APIVersion)
}

// static makes a pod from a manifest this node's own: its identity follows from
// its contents and its place, so that an unchanged manifest is the same pod after
// a restart, and a changed one another pod.
func static(pod *v1.Pod, source, where, node string, prepare Prepare) error {
	if pod.Name == "" {
		return fmt.Errorf("invalid pod: it has no name")
	}
	if pod.UID == "" {
		contents, err := json.Marshal(pod)
		if err != nil {
			return fmt.Errorf("invalid pod: %w", err)
		}
		h := md5.New()
		fmt.Fprintf(h, "host:%s\nsource:%s\n%s", node, where, contents)
		pod.UID = types.UID(hex.EncodeToString(h.Sum(nil)))
	}
	pod.Name = pod.Name + "-" + strings.ToLower(node)
	if pod.Namespace == "" {
		pod.Namespace = metav1.NamespaceDefault
	}
	pod.Spec.NodeName = node
	pod.Status = v1.PodStatus{Phase: v1.PodPending}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[spec.AnnotationConfigHash] = string(pod.UID)
	pod.Annotations[spec.AnnotationConfigSource] = source
	pod.Annotations[spec.AnnotationConfigSeen] = time.Now().Format(time.RFC3339Nano)
	// No taint of the node may evict what the node itself runs.
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, v1.Toleration{Operator: v1.TolerationOpExists, Effect: v1.TaintEffectNoExecute})
	if err := refuseReferences(pod); err != nil {
		return err
	}
	if prepare != nil {
		return prepare(pod)
	}
	return nil
}

// refuseReferences: a static pod exists without the API server and so cannot
// depend on what is there.
func refuseReferences(pod *v1.Pod) error {
	switch {
	case len(pod.Spec.EphemeralContainers) > 0:
		return fmt.Errorf("static pods can not have ephemeral containers")
	case pod.Spec.ServiceAccountName != "":
		return fmt.Errorf("static pods can not reference serviceaccounts")
	case len(pod.Spec.ResourceClaims) > 0:
		return fmt.Errorf("static pods can not reference resourceclaims")
	}
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.ConfigMap != nil:
			return fmt.Errorf("static pods can not reference configmaps")
		case v.Secret != nil:
			return fmt.Errorf("static pods can not reference secrets")
		case v.PersistentVolumeClaim != nil:
			return fmt.Errorf("static pods can not reference persistentvolumeclaims")
		}
	}
	return nil
}
