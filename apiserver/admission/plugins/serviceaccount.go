package plugins

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/admission"
)

const (
	mirrorAnnotation  = "kubernetes.io/config.mirror"
	defaultAccount    = "default"
	tokenMountPath    = "/var/run/secrets/kubernetes.io/serviceaccount"
	tokenVolumePrefix = "kube-api-access-"
	tokenLife         = 3607 // an hour, and what tells it from what people ask for
	mountableSecrets  = "kubernetes.io/enforce-mountable-secrets"
	accountWait       = 100 * time.Millisecond
	accountWaits      = 10
)

// serviceAccount gives Pods a service account, its token and its pull secrets.
func serviceAccount(env *Env) (admission.Plugin, error) {
	lister := env.Set.Informers.Core().V1().ServiceAccounts().Lister()
	find := func(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
		account, err := lister.ServiceAccounts(namespace).Get(name)
		if err == nil {
			return account, nil
		}
		// A new namespace gets its default account in a moment: those who make a Pod in it at once are not turned away.
		for attempt := 0; ; attempt++ {
			account, err = env.Set.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
			if err == nil || !apierrors.IsNotFound(err) || name != defaultAccount || attempt == accountWaits {
				return account, err
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(accountWait):
			}
		}
	}
	admit := func(ctx context.Context, a *admission.Attributes) error {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !is(a, "", "pods", "") {
			return nil
		}
		if _, mirror := pod.Annotations[mirrorAnnotation]; mirror {
			return refuseMirror(a, pod)
		}
		if pod.Spec.ServiceAccountName == "" {
			pod.Spec.ServiceAccountName = defaultAccount
			a.Changed("service account %s", defaultAccount)
		}
		pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
		account, err := find(ctx, a.Namespace, pod.Spec.ServiceAccountName)
		if err != nil {
			return apierrors.NewForbidden(groupResource(a), a.Name, fmt.Errorf("error looking up service account %s/%s: %w", a.Namespace, pod.Spec.ServiceAccountName, err))
		}
		if wantsToken(pod, account) && mountToken(pod) {
			a.Changed("token volume")
		}
		if len(pod.Spec.ImagePullSecrets) == 0 && len(account.ImagePullSecrets) > 0 {
			pod.Spec.ImagePullSecrets = append([]corev1.LocalObjectReference(nil), account.ImagePullSecrets...)
			a.Changed("pull secrets of service account %s", account.Name)
		}
		return nil
	}
	validate := func(ctx context.Context, a *admission.Attributes) error {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !is(a, "", "pods", "") || pod.Spec.ServiceAccountName == "" {
			return nil
		}
		account, err := find(ctx, a.Namespace, pod.Spec.ServiceAccountName)
		if err != nil {
			return apierrors.NewForbidden(groupResource(a), a.Name, fmt.Errorf("error looking up service account %s/%s: %w", a.Namespace, pod.Spec.ServiceAccountName, err))
		}
		if account.Annotations[mountableSecrets] != "true" {
			return nil
		}
		return onlyMountable(a, pod, account)
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create}, Admit: admit, Validate: validate}, nil
}

// refuseMirror keeps kubelets from getting at what only the API server gives: a mirror Pod is a picture of one that runs already.
func refuseMirror(a *admission.Attributes, pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return apierrors.NewForbidden(groupResource(a), a.Name, errors.New("a mirror pod may not reference service accounts"))
	}
	for i := range pod.Spec.Volumes {
		if volume := &pod.Spec.Volumes[i]; volume.Projected != nil {
			for _, source := range volume.Projected.Sources {
				if source.ServiceAccountToken != nil {
					return apierrors.NewForbidden(groupResource(a), a.Name, errors.New("a mirror pod may not use ServiceAccountToken volume projections"))
				}
			}
		}
	}
	return nil
}

func wantsToken(pod *corev1.Pod, account *corev1.ServiceAccount) bool {
	if pod.Spec.AutomountServiceAccountToken != nil {
		return *pod.Spec.AutomountServiceAccountToken
	}
	return account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken
}

// mountToken mounts the token into every container that has nothing at its path. It reports whether any got it.
func mountToken(pod *corev1.Pod) bool {
	name := ""
	for i := range pod.Spec.Volumes { // a Pod that was read and is created anew has the volume already
		if volume := &pod.Spec.Volumes[i]; len(volume.Name) == len(tokenVolumePrefix)+5 && volume.Name[:len(tokenVolumePrefix)] == tokenVolumePrefix {
			name = volume.Name
		}
	}
	fresh := name == ""
	if fresh {
		name = tokenVolumePrefix + rand.String(5)
	}
	mount := corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenMountPath}
	used := false
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if !mountedAt(&containers[i], tokenMountPath) {
				containers[i].VolumeMounts = append(containers[i].VolumeMounts, mount)
				used = true
			}
		}
	}
	if used && fresh {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: tokenVolume()}})
	}
	return used
}

func mountedAt(container *corev1.Container, path string) bool {
	for _, mount := range container.VolumeMounts {
		if mount.MountPath == path {
			return true
		}
	}
	return false
}

// tokenVolume has what a client in a Pod needs: token, authority and namespace.
func tokenVolume() *corev1.ProjectedVolumeSource {
	return &corev1.ProjectedVolumeSource{
		DefaultMode: ptr.To(corev1.ProjectedVolumeSourceDefaultMode),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](tokenLife)}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}},
			}}},
		},
	}
}

// onlyMountable refuses secrets that the service account does not list, where it asks for that.
func onlyMountable(a *admission.Attributes, pod *corev1.Pod, account *corev1.ServiceAccount) error {
	listed, pull := map[string]bool{}, map[string]bool{}
	for _, secret := range account.Secrets {
		listed[secret.Name] = true
	}
	for _, secret := range account.ImagePullSecrets {
		pull[secret.Name] = true
	}
	refuse := func(format string, args ...any) error {
		return apierrors.NewForbidden(groupResource(a), a.Name, fmt.Errorf(format, args...))
	}
	for i := range pod.Spec.Volumes {
		if secret := pod.Spec.Volumes[i].Secret; secret != nil && !listed[secret.SecretName] {
			return refuse("volume with secret.secretName=%q is not allowed because service account %s does not reference that secret", secret.SecretName, account.Name)
		}
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			for _, env := range containers[i].Env {
				if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil && !listed[env.ValueFrom.SecretKeyRef.Name] {
					return refuse("container %s with envVar %s referencing secret.secretName=%q is not allowed because service account %s does not reference that secret", containers[i].Name, env.Name, env.ValueFrom.SecretKeyRef.Name, account.Name)
				}
			}
		}
	}
	for _, secret := range pod.Spec.ImagePullSecrets {
		if !pull[secret.Name] {
			return refuse("imagePullSecrets[].name=%q is not allowed because service account %s does not reference that imagePullSecret", secret.Name, account.Name)
		}
	}
	return nil
}
