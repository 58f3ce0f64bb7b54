package core

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// TestProfilesInAnnotations: old manifests have security profiles as annotations, which must make sense, and agree with the fields.
func TestProfilesInAnnotations(t *testing.T) {
	t.Parallel()
	const armor = corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "main"
	for name, test := range map[string]struct {
		annotations map[string]string
		security    corev1.PodSecurityContext
		want        []string
	}{
		"right": {
			map[string]string{corev1.SeccompPodAnnotationKey: "localhost/p.json", armor: "runtime/default"},
			corev1.PodSecurityContext{
				SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: ptr.To("p.json")},
				AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault},
			}, nil,
		},
		"of no sense": {
			map[string]string{corev1.SeccompPodAnnotationKey: "some", corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "other": "some"},
			corev1.PodSecurityContext{},
			[]string{
				`metadata.annotations[container.apparmor.security.beta.kubernetes.io/other]: Invalid value: "other": container not found`,
				`metadata.annotations[container.apparmor.security.beta.kubernetes.io/other]: Invalid value: "some": invalid AppArmor profile name: "some"`,
				`metadata.annotations.seccomp.security.alpha.kubernetes.io/pod: Invalid value: "some": must be a valid seccomp profile`,
			},
		},
		"other than the fields": {
			map[string]string{corev1.SeccompPodAnnotationKey: "localhost/q.json", armor: "unconfined"},
			corev1.PodSecurityContext{
				SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: ptr.To("p.json")},
				AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault},
			},
			[]string{
				"spec.securityContext.seccompProfile.localhostProfile: Forbidden: seccomp profile in annotation and field must match",
				"spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := goodPod()
			pod.Annotations, pod.Spec.SecurityContext = test.annotations, &test.security
			expect(t, validatePod(nil, pod), test.want...)
		})
	}
}
