package volume

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

func mountPodCSI(_ context.Context, _ *Volumes, _ *podVolumes, volume *corev1.Volume) (Mounted, error) {
	return Mounted{}, fmt.Errorf("driver name %s not found in the list of registered CSI drivers", volume.CSI.Driver)
}

func (v *Volumes) mountCSI(_ context.Context, _ *podVolumes, request persistent) (Mounted, error) {
	return Mounted{}, fmt.Errorf("driver name %s not found in the list of registered CSI drivers", request.pv.Spec.CSI.Driver)
}

func (v *Volumes) unmountCSI(context.Context, types.UID) error { return nil }
