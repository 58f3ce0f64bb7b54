package batch

import (
	"maps"
	"reflect"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// Jobs is all that the server knows about Jobs.
func Jobs() *resource.Kind {
	return resource.Define(resource.Definition[*batchv1.Job]{
		Group: "batch", Version: "v1", Kind: "Job", Plural: "jobs",
		Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation:  true,
		Propagation: metav1.DeletePropagationOrphan,
		Views:       []resource.View[*batchv1.Job]{{Name: "status", Validate: validateJobStatus, Prepare: func(_ *resource.Request, obj, old *batchv1.Job) { obj.Spec = old.Spec }}},
		Default:     defaultJob, PrepareCreate: prepareJob,
		Fields: []resource.Field[*batchv1.Job]{
			{Name: "status.successful", Value: func(j *batchv1.Job) string { return strconv.Itoa(int(j.Status.Succeeded)) }},
		},
		Columns:  jobColumns(),
		Validate: validateJob, ValidateUpdate: validateJobUpdate, Warn: warnJob,
		WarnDelete: warnJobDelete,
	})
}

// prepareJob gives a job that brings no selector of its own one by its uid, so that jobs never share pods.
func prepareJob(_ *resource.Request, job *batchv1.Job) {
	if job.Spec.ManualSelector != nil && *job.Spec.ManualSelector {
		return
	}
	labels := job.Spec.Template.Labels
	if labels == nil {
		labels = map[string]string{}
		job.Spec.Template.Labels = labels
	}
	for key, value := range map[string]string{
		"job-name": job.Name, batchv1.JobNameLabel: job.Name,
		"controller-uid": string(job.UID), batchv1.ControllerUidLabel: string(job.UID),
	} {
		// A label that the author wrote stays, for validation to compare.
		if _, ok := labels[key]; !ok {
			labels[key] = value
		}
	}
	if job.Spec.Selector == nil {
		job.Spec.Selector = &metav1.LabelSelector{}
	}
	if job.Spec.Selector.MatchLabels == nil {
		job.Spec.Selector.MatchLabels = map[string]string{}
	}
	if _, ok := job.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; !ok {
		job.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel] = string(job.UID)
	}
	// A job without labels of its own has its template's, also those that it was given here.
	if len(job.Labels) == 0 || reflect.ValueOf(job.Labels).UnsafePointer() == reflect.ValueOf(labels).UnsafePointer() {
		job.Labels = maps.Clone(labels)
	}
}

// warnJobDelete: unlike with other kinds, pods stay unless somebody says otherwise.
func warnJobDelete(_ *resource.Request, _ *batchv1.Job, options *metav1.DeleteOptions) []string {
	if options != nil && (options.PropagationPolicy != nil || options.OrphanDependents != nil) {
		return nil
	}
	return []string{"child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them " +
		"or set propagationPolicy=Orphan to suppress this warning"}
}
