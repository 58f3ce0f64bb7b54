package cluster

import (
	"errors"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestComponentsComeWhenTheirRolesAreInForce(t *testing.T) {
	t.Parallel()
	last := &addonRoles[len(addonRoles)-1]
	client := fake.NewClientset()
	asked := 0
	client.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		if review.Spec.User != last.subject.Name || review.Spec.ResourceAttributes.Verb != last.rules[0].Verbs[0] {
			t.Errorf("asked for %v; want something that the last role allows", review.Spec)
		}
		asked++
		review.Status.Allowed = asked == 3
		return true, review, nil
	})
	if err := inForce(t.Context(), client, last); err != nil || asked != 3 {
		t.Errorf("ended after %d reviews with %v; want the third, which allows it", asked, err)
	}

	client.PrependReactor("create", "subjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no such review")
	})
	if err := inForce(t.Context(), client, last); err == nil || !strings.Contains(err.Error(), last.name) {
		t.Errorf("got %v; want an error that names the role", err)
	}
}
