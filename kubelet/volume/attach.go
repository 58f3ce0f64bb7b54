package volume

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// attachTimeout is how long one Mount waits for a volume to be attached; the next goes on waiting.
const attachTimeout = time.Minute

// attachmentName is the VolumeAttachment of a volume and a node, as controllers name it.
func attachmentName(handle, driver, node string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(handle+driver+node)))
}

// waitAttached waits until the volume is attached to this node, and returns what the driver needs to know of it.
func (v *Volumes) waitAttached(ctx context.Context, name string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	client := v.config.Client.StorageV1().VolumeAttachments()
	attachment, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	if err == nil {
		if attachment.Status.Attached {
			return attachment.Status.AttachmentMetadata, nil
		}
		options.ResourceVersion = attachment.ResourceVersion
	}
	events, err := client.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	defer events.Stop()
	reason := "has not been attached yet"
	for event := range events.ResultChan() {
		attachment, ok := event.Object.(*storagev1.VolumeAttachment)
		switch {
		case event.Type == watch.Error:
			return nil, apierrors.FromObject(event.Object)
		case !ok || attachment.Name != name || event.Type == watch.Deleted:
			continue
		case attachment.Status.Attached:
			return attachment.Status.AttachmentMetadata, nil
		case attachment.Status.AttachError != nil:
			reason = attachment.Status.AttachError.Message
		}
	}
	return nil, errors.Join(fmt.Errorf("volume attachment %s: %s", name, reason), ctx.Err())
}
