package pod

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/image"
	"github.com/septet-io/septet/kubelet/spec"
)

// prefetch is an image that is made sure of while the sandbox is made. Its fields
// may be read when done is closed.
type prefetch struct {
	done chan struct{}
	ref  string
	img  *runtimeapi.Image
	err  error
}

// prefetch makes sure of the images of the containers that start first, unless
// that has begun.
func (w *Worker) prefetch() {
	if w.images == nil || len(w.runtime.Containers) > 0 || len(w.images) > 0 || w.sandboxSpec == nil || !w.sandboxBusy {
		return
	}
	first := w.pod.Spec.Containers
	if len(w.pod.Spec.InitContainers) > 0 {
		first = w.pod.Spec.InitContainers[:1]
	}
	pod, ctx, handler, config := w.pod, w.syncCtx, w.handler, w.sandboxSpec
	for i := range first {
		c, p := &first[i], &prefetch{done: make(chan struct{})}
		w.images[c.Name] = p
		w.ops.Add(1)
		go func() {
			defer w.ops.Done()
			defer close(p.done)
			p.ref, p.img, p.err = w.ensure(ctx, pod, c.Name, c.Image, c.ImagePullPolicy, handler, config)
		}()
	}
}

// image makes sure of a container's image and those of its image volumes.
func (w *Worker) image(ctx context.Context, o *order) (string, *runtimeapi.Image, error) {
	if err := w.imageVolumes(ctx, o); err != nil {
		return "", nil, err
	}
	if p := o.image; p != nil {
		select {
		case <-p.done:
			return p.ref, p.img, p.err
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
	return w.ensure(ctx, o.pod, o.container.Name, o.container.Image, o.container.ImagePullPolicy, o.handler, o.config)
}

func (w *Worker) ensure(ctx context.Context, pod *v1.Pod, container, name string, policy v1.PullPolicy, handler string, config *runtimeapi.PodSandboxConfig) (string, *runtimeapi.Image, error) {
	secrets, err := w.pullSecrets(ctx, pod)
	if err != nil {
		return "", nil, err
	}
	return w.host.Images.Ensure(ctx, image.Request{
		Pod: pod, Container: container, Image: name, Policy: policy, Secrets: secrets, Handler: handler, Sandbox: config,
	})
}

// imageVolumes makes sure of the images that the container mounts as volumes.
func (w *Worker) imageVolumes(ctx context.Context, o *order) error {
	volumes := o.volumes
	for i := range o.pod.Spec.Volumes {
		v := &o.pod.Spec.Volumes[i]
		if v.Image == nil || !uses(o.container, v.Name) {
			continue
		}
		ref, img, err := w.ensure(ctx, o.pod, "", v.Image.Reference, v.Image.PullPolicy, o.handler, o.config)
		if err != nil {
			var failed *image.Error
			if errors.As(err, &failed) {
				failed.Message = fmt.Sprintf("volume %q: %s", v.Name, failed.Message)
			}
			return err
		}
		volumes = maps.Clone(volumes)
		volumes[v.Name] = spec.Volume{ReadOnly: true, Image: &runtimeapi.ImageSpec{Image: nameOf(img, ref), UserSpecifiedImage: v.Image.Reference, RuntimeHandler: o.handler}}
	}
	o.volumes = volumes
	return nil
}

// nameOf is a name of the image: runtimes mount images by name, and an image that
// was imported may not answer to its id.
func nameOf(img *runtimeapi.Image, ref string) string {
	for _, names := range [][]string{img.GetRepoTags(), img.GetRepoDigests()} {
		if len(names) > 0 {
			return names[0]
		}
	}
	return ref
}

func uses(c *v1.Container, volume string) bool {
	for i := range c.VolumeMounts {
		if c.VolumeMounts[i].Name == volume {
			return true
		}
	}
	return false
}

// pullSecrets returns those of the pod's pull secrets that exist; one that does
// not is told of, and the pull tried without it.
func (w *Worker) pullSecrets(ctx context.Context, pod *v1.Pod) ([]*v1.Secret, error) {
	var secrets []*v1.Secret
	var missing []string
	for _, ref := range pod.Spec.ImagePullSecrets {
		if ref.Name == "" {
			continue
		}
		secret, err := w.host.Objects.Secret(ctx, pod.Namespace, ref.Name)
		switch {
		case apierrors.IsNotFound(err):
			missing = append(missing, ref.Name)
		case err != nil:
			return nil, fmt.Errorf("pull secret %s: %w", ref.Name, err)
		default:
			secrets = append(secrets, secret)
		}
	}
	if len(missing) > 0 {
		w.host.Recorder.Event(cri.Reference(pod, ""), v1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
			fmt.Sprintf("Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", strings.Join(missing, ", ")))
	}
	return secrets, nil
}
