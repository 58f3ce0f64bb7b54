package pod

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
)

// maxFileName is the longest file name that file systems take.
const maxFileName = 255

// linkName is the name under which log collectors find a container's log.
func linkName(pod *v1.Pod, container, id string) string {
	name := fmt.Sprintf("%s_%s_%s-%s", pod.Name, pod.Namespace, container, id)
	if len(name) > maxFileName-len(".log") {
		name = name[:maxFileName-len(".log")]
	}
	return name + ".log"
}

// linkLog puts a link to the container's log where collectors look for it. A
// failure costs only them.
func (w *Worker) linkLog(o *order, id string, config *runtimeapi.ContainerConfig) {
	if w.host.ContainerLogLinks == "" {
		return
	}
	link := filepath.Join(w.host.ContainerLogLinks, linkName(o.pod, o.container.Name, id))
	target := filepath.Join(o.config.GetLogDirectory(), config.GetLogPath())
	if err := os.Symlink(target, link); err != nil && !os.IsExist(err) {
		klog.FromContext(w.ctx).V(1).Info("Could not link a container's log", "link", link, "err", err)
	}
}

func (w *Worker) unlinkLog(pod *v1.Pod, container, id string) {
	if w.host.ContainerLogLinks == "" {
		return
	}
	link := filepath.Join(w.host.ContainerLogLinks, linkName(pod, container, id))
	if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
		klog.FromContext(w.ctx).V(1).Info("Could not remove the link to a container's log", "link", link, "err", err)
	}
}

// removeContainer removes an instance that is of no use any more, with its log.
func (w *Worker) removeContainer(ctx context.Context, pod *v1.Pod, name, id string) {
	log := klog.FromContext(ctx)
	found, err := w.host.Runtime.ContainerStatus(ctx, id, false)
	if err != nil {
		if !cri.IsNotFound(err) {
			log.V(1).Info("Could not look at an old container", "id", id, "err", err)
		}
		return
	}
	if err := w.host.Runtime.RemoveContainer(ctx, id); err != nil {
		log.V(1).Info("Could not remove an old container", "id", id, "err", err)
		return
	}
	w.unlinkLog(pod, name, id)
	path := found.GetStatus().GetLogPath()
	rotated, err := filepath.Glob(path + ".*")
	if err != nil {
		rotated = nil // the path is no pattern
	}
	for _, file := range append(rotated, path) {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			log.V(1).Info("Could not remove an old log", "path", file, "err", err)
		}
	}
}
