package plugins

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/apiserver/admission"
)

// selectorAnnotation is where a namespace says which nodes its Pods may go to.
const selectorAnnotation = "scheduler.alpha.kubernetes.io/node-selector"

// podNodeSelector keeps the Pods of a namespace to the nodes that the namespace names. Off by default. Its configuration has, below
// podNodeSelectorPluginConfig, a selector for all namespaces that name none (clusterDefaultNodeSelector), and by namespace what
// their Pods may ask for.
func podNodeSelector(env *Env) (admission.Plugin, error) {
	var config struct {
		Selectors map[string]string `json:"podNodeSelectorPluginConfig"`
	}
	if _, err := env.Config.Read("PodNodeSelector", &config, ""); err != nil {
		return admission.Plugin{}, err
	}
	parsed := map[string]labels.Set{}
	for name, text := range config.Selectors {
		set, err := labels.ConvertSelectorToLabelsMap(text)
		if err != nil {
			return admission.Plugin{}, fmt.Errorf("podNodeSelectorPluginConfig[%s]: %w", name, err)
		}
		parsed[name] = set
	}
	s := &nodeSelectors{env, parsed}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Admit: s.admit, Validate: s.validate}, nil
}

type nodeSelectors struct {
	env    *Env
	parsed map[string]labels.Set // by namespace, and "clusterDefaultNodeSelector"
}

// of returns what the Pods of a request's namespace must select; pod is nil if the request is about none.
func (s *nodeSelectors) of(ctx context.Context, a *admission.Attributes) (pod *corev1.Pod, wanted labels.Set, err error) {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !is(a, "", "pods", "") {
		return nil, nil, nil
	}
	namespace, err := s.env.World.Namespace(ctx, a.Namespace)
	if err != nil {
		return nil, nil, err
	}
	wanted = s.parsed["clusterDefaultNodeSelector"]
	if text, given := namespace.Annotations[selectorAnnotation]; given {
		if wanted, err = labels.ConvertSelectorToLabelsMap(text); err != nil {
			return nil, nil, err
		}
	}
	if labels.Conflicts(wanted, pod.Spec.NodeSelector) {
		return nil, nil, forbidden(a, errors.New("pod node label selector conflicts with its namespace node label selector"))
	}
	return pod, wanted, nil
}

func (s *nodeSelectors) admit(ctx context.Context, a *admission.Attributes) error {
	pod, wanted, err := s.of(ctx, a)
	if err != nil || pod == nil {
		return err
	}
	if len(wanted) > 0 {
		if pod.Spec.NodeSelector == nil {
			pod.Spec.NodeSelector = map[string]string{}
		}
		maps.Copy(pod.Spec.NodeSelector, wanted)
		a.Changed("node selector %s", wanted)
	}
	return s.validate(ctx, a)
}

// validate: where the configuration names a namespace, its Pods may select nothing else.
func (s *nodeSelectors) validate(ctx context.Context, a *admission.Attributes) error {
	pod, _, err := s.of(ctx, a)
	allowed := s.parsed[a.Namespace]
	if err != nil || pod == nil || len(allowed) == 0 {
		return err
	}
	for key, value := range pod.Spec.NodeSelector {
		if own, found := allowed[key]; !found || own != value {
			return forbidden(a, errors.New("pod node label selector labels conflict with its namespace whitelist"))
		}
	}
	return nil
}
