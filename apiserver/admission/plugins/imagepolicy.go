package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/webhook"
)

// imagePolicyFile is the plug-in's configuration.
type imagePolicyFile struct {
	ImagePolicy struct {
		// KubeConfigFile names the service; relative to the configuration's folder.
		KubeConfigFile string `json:"kubeConfigFile"`
		// AllowTTL and DenyTTL are for how many seconds answers hold, RetryBackoff the first pause between attempts in milliseconds.
		// 0: the default, -1: not at all.
		AllowTTL     int64 `json:"allowTTL"`
		DenyTTL      int64 `json:"denyTTL"`
		RetryBackoff int64 `json:"retryBackoff"`
		// DefaultAllow lets Pods in while the service cannot be asked.
		DefaultAllow bool `json:"defaultAllow"`
	} `json:"imagePolicy"`
}

const (
	imagePolicyName = "ImagePolicyWebhook"
	imagePolicyKey  = "imagepolicywebhook.image-policy.k8s.io/"
	// reviewsKept bounds how many answers are remembered.
	reviewsKept = 1024
	longestTTL  = 30 * time.Minute
)

// imagePolicy asks a service whether the images of Pods may run. Off by default.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#imagepolicywebhook
func imagePolicy(env *Env) (admission.Plugin, error) {
	var file imagePolicyFile
	found, err := env.Config.Read(imagePolicyName, &file, "")
	if err != nil {
		return admission.Plugin{}, err
	}
	if !found {
		return admission.Plugin{}, errors.New("it needs a configuration in --admission-control-config-file, which names the service")
	}
	p := &imagePolicies{failOpen: file.ImagePolicy.DefaultAllow, known: cache.NewLRUExpireCache(reviewsKept)}
	policy := &file.ImagePolicy
	var pause time.Duration
	for _, d := range []struct {
		name               string
		value              int64
		unit               time.Duration
		least, most, usual time.Duration
		to                 *time.Duration
	}{
		{"allowTTL", policy.AllowTTL, time.Second, time.Second, longestTTL, 5 * time.Minute, &p.allowTTL},
		{"denyTTL", policy.DenyTTL, time.Second, time.Second, longestTTL, 30 * time.Second, &p.denyTTL},
		{"retryBackoff", policy.RetryBackoff, time.Millisecond, 1, 5 * time.Minute, 500 * time.Millisecond, &pause},
	} {
		switch *d.to = time.Duration(d.value) * d.unit; {
		case d.value == 0:
			*d.to = d.usual
		case d.value == -1:
			*d.to = 0
		case *d.to < d.least || *d.to > d.most:
			return admission.Plugin{}, fmt.Errorf("imagePolicy.%s: valid value is between %v and %v, got %v", d.name, d.least, d.most, *d.to)
		}
	}
	kubeconfig := policy.KubeConfigFile
	if kubeconfig != "" && !filepath.IsAbs(kubeconfig) {
		kubeconfig = filepath.Join(env.Config.Dir(imagePolicyName), kubeconfig)
	}
	if p.client, err = webhook.Load(kubeconfig); err != nil {
		return admission.Plugin{}, fmt.Errorf("imagePolicy.kubeConfigFile: %w", err)
	}
	p.client.Backoff = webhook.Backoff(pause)
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Validate: p.validate}, nil
}

type imagePolicies struct {
	client            *webhook.Client
	failOpen          bool
	allowTTL, denyTTL time.Duration
	known             *cache.LRUExpireCache // of ImageReviewStatus by what was asked
}

func (p *imagePolicies) validate(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !is(a, "", "pods", "") && !is(a, "", "pods", "ephemeralcontainers") {
		return nil
	}
	status, err := p.review(ctx, imageReview(a, pod))
	if err != nil {
		if !p.failOpen {
			return forbidden(a, err)
		}
		klog.FromContext(ctx).Info("Failed calling the webhook for images, failing open", "pod", klog.KObj(pod), "err", err)
		a.AddAnnotation(imagePolicyKey+"failed-open", "true")
		return nil
	}
	for key, value := range status.AuditAnnotations {
		a.AddAnnotation(imagePolicyKey+key, value)
	}
	switch {
	case status.Allowed:
		return nil
	case status.Reason != "":
		return forbidden(a, fmt.Errorf("image policy webhook backend denied one or more images: %s", status.Reason))
	}
	return forbidden(a, errors.New("one or more images rejected by webhook backend"))
}

// imageReview is the question: the images, and what the author says to the service.
func imageReview(a *admission.Attributes, pod *corev1.Pod) *imagepolicyv1alpha1.ImageReviewSpec {
	spec := &imagepolicyv1alpha1.ImageReviewSpec{Namespace: a.Namespace, Annotations: map[string]string{}}
	add := func(image string) {
		spec.Containers = append(spec.Containers, imagepolicyv1alpha1.ImageReviewContainerSpec{Image: image})
	}
	if a.Subresource == "" {
		for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range list {
				add(list[i].Image)
			}
		}
	} else {
		for i := range pod.Spec.EphemeralContainers {
			add(pod.Spec.EphemeralContainers[i].Image)
		}
	}
	for key, value := range pod.Annotations {
		if strings.Contains(key, ".image-policy.k8s.io/") {
			spec.Annotations[key] = value
		}
	}
	return spec
}

// review asks the service, unless it has said so lately.
func (p *imagePolicies) review(ctx context.Context, spec *imagepolicyv1alpha1.ImageReviewSpec) (imagepolicyv1alpha1.ImageReviewStatus, error) {
	key, err := json.Marshal(spec)
	if err != nil {
		return imagepolicyv1alpha1.ImageReviewStatus{}, err
	}
	if status, found := p.known.Get(string(key)); found {
		return status.(imagepolicyv1alpha1.ImageReviewStatus), nil
	}
	question := &imagepolicyv1alpha1.ImageReview{
		TypeMeta: metav1.TypeMeta{APIVersion: imagepolicyv1alpha1.SchemeGroupVersion.String(), Kind: "ImageReview"}, Spec: *spec,
	}
	answer := imagepolicyv1alpha1.ImageReview{}
	if err := p.client.Call(ctx, question, &answer); err != nil {
		return answer.Status, err
	}
	ttl := p.denyTTL
	if answer.Status.Allowed {
		ttl = p.allowTTL
	}
	p.known.Add(string(key), answer.Status, ttl)
	return answer.Status, nil
}
