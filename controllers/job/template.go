package job

import (
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/pods"
)

// indexVariable is the environment variable in which a container finds its Pod's index.
const indexVariable = "JOB_COMPLETION_INDEX"

// build returns a Pod of a Job.
func build(job *batchv1.Job, birth Birth) *corev1.Pod {
	pod := pods.FromTemplate(&job.Spec.Template, job, own.Reference(job, Kind))
	if !hasFinalizer(pod) {
		pod.Finalizers = append(pod.Finalizers, batchv1.JobTrackingFinalizer)
	}
	if birth.Index < 0 {
		return pod
	}
	index := strconv.Itoa(birth.Index)
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Annotations[batchv1.JobCompletionIndexAnnotation] = index
	pod.Labels[batchv1.JobCompletionIndexAnnotation] = index
	pod.Spec.Hostname = job.Name + "-" + index
	pod.GenerateName = prefix(job.Name, index)
	addIndexVariable(pod.Spec.InitContainers)
	addIndexVariable(pod.Spec.Containers)
	if job.Spec.BackoffLimitPerIndex != nil {
		addFailures(job, pod, birth.Replaces)
	}
	return pod
}

// prefix is what the name of an indexed Pod begins with: the index must not be cut off with a long name.
func prefix(name, index string) string {
	const suffix = 5 // that the server appends to a generated name
	if most := validation.DNS1123SubdomainMaxLength - len(index) - suffix - 2; len(name) > most {
		name = name[:most]
	}
	return name + "-" + index + "-"
}

// addIndexVariable sets the variable in all containers that do not set it themselves.
func addIndexVariable(containers []corev1.Container) {
next:
	for i := range containers {
		for _, variable := range containers[i].Env {
			if variable.Name == indexVariable {
				continue next
			}
		}
		containers[i].Env = append(containers[i].Env, corev1.EnvVar{Name: indexVariable, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['" + batchv1.JobCompletionIndexAnnotation + "']"},
		}})
	}
}

// addFailures hands the count of an index's failures on from the Pod that is replaced.
func addFailures(job *batchv1.Job, pod, replaces *corev1.Pod) {
	counted, ignored := 0, 0
	if replaces != nil {
		counted, ignored = failures(job, replaces)
	}
	pod.Annotations[batchv1.JobIndexFailureCountAnnotation] = strconv.Itoa(counted)
	if ignored > 0 {
		pod.Annotations[ignoredCountAnnotation] = strconv.Itoa(ignored)
	}
}
