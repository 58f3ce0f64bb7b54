package plugins

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/apiserver/admission"
)

// claimResize lets claims grow that are bound and whose class can make volumes larger.
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
func claimResize(env *Env) (admission.Plugin, error) {
	lister := env.Set.Informers.Storage().V1().StorageClasses().Lister()
	expandable := func(name *string) (bool, error) {
		if name == nil || *name == "" {
			return false, nil
		}
		class, err := lister.Get(*name)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, apierrors.NewInternalError(err)
		}
		return class.AllowVolumeExpansion != nil && *class.AllowVolumeExpansion, nil
	}
	validate := func(_ context.Context, a *admission.Attributes) error {
		claim, ok := a.Object.(*corev1.PersistentVolumeClaim)
		old, okOld := a.OldObject.(*corev1.PersistentVolumeClaim)
		if !ok || !okOld || a.Subresource != "" {
			return nil
		}
		size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
		if size.Cmp(old.Spec.Resources.Requests[corev1.ResourceStorage]) <= 0 {
			return nil
		}
		if old.Status.Phase != corev1.ClaimBound {
			return forbidden(a, errors.New("Only bound persistent volume claims can be expanded"))
		}
		may, err := expandable(old.Spec.StorageClassName)
		if err != nil {
			return err
		}
		if !may {
			return forbidden(a, errors.New("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"))
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Update}, Validate: validate}, nil
}
