package ttlafterfinished

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestEnd(t *testing.T) {
	t.Parallel()
	done := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		ttl    *int32
		kind   batchv1.JobConditionType
		status corev1.ConditionStatus
		mortal bool
	}{
		{"complete", ptr.To[int32](60), batchv1.JobComplete, corev1.ConditionTrue, true},
		{"failed", ptr.To[int32](60), batchv1.JobFailed, corev1.ConditionTrue, true},
		{"suspended", ptr.To[int32](60), batchv1.JobSuspended, corev1.ConditionTrue, false},
		{"not complete", ptr.To[int32](60), batchv1.JobComplete, corev1.ConditionFalse, false},
		{"kept for ever", nil, batchv1.JobComplete, corev1.ConditionTrue, false},
	} {
		job := &batchv1.Job{
			Spec:   batchv1.JobSpec{TTLSecondsAfterFinished: test.ttl},
			Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: test.kind, Status: test.status, LastTransitionTime: metav1.NewTime(done)}}},
		}
		end, mortal := End(job)
		if mortal != test.mortal || (mortal && !end.Equal(done.Add(time.Minute))) {
			t.Errorf("%s: %v, %v", test.name, end, mortal)
		}
	}
}
