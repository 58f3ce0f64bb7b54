package batch

import (
	batchv1 "k8s.io/api/batch/v1"

	"github.com/septet-io/septet/resource"
)

// CronJobs is all that the server knows about CronJobs.
func CronJobs() *resource.Kind {
	return resource.Define(resource.Definition[*batchv1.CronJob]{
		Group: "batch", Version: "v1", Kind: "CronJob", Plural: "cronjobs",
		Short: []string{"cj"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation: true,
		Views:      []resource.View[*batchv1.CronJob]{{Name: "status", Prepare: func(_ *resource.Request, obj, old *batchv1.CronJob) { obj.Spec = old.Spec }}},
		Default:    defaultCronJob,
		Columns:    cronJobColumns(),
		Validate:   validateCronJob, ValidateUpdate: validateCronJobUpdate, Warn: warnCronJob,
	})
}
