package kubelet

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/pod"
	"github.com/septet-io/septet/kubelet/source"
)

func podsDir(root string) string { return filepath.Join(root, "pods") }

// removeOrphans ends what runs here of pods that no source has, and removes the
// folders and control groups of others: they went while no kubelet ran.
func (k *Kubelet) removeOrphans(ctx context.Context) {
	k.mu.Lock()
	for uid, found := range k.found {
		object := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid, Name: found.Name, Namespace: found.Namespace}}
		object.Spec.NodeName = k.config.NodeName
		e := &entry{source: source.API, pod: object, given: object, removed: true, rejected: true}
		k.pods[uid] = e
		e.worker = pod.Start(ctx, k.host, object, found, nil)
		e.worker.Remove()
	}
	k.found = map[types.UID]*cri.Pod{}
	known := make(map[types.UID]bool, len(k.pods))
	for uid := range k.pods {
		known[uid] = true
	}
	k.mu.Unlock()
	go k.removeRemains(ctx, func(uid types.UID) bool { return known[uid] })
}

// removeRemains removes the folders and control groups of pods that are not known.
func (k *Kubelet) removeRemains(ctx context.Context, known func(types.UID) bool) {
	log := klog.FromContext(ctx)
	if err := k.book.Keep(known); err != nil {
		log.Error(err, "Could not forget what pods were given that are gone")
	}
	orphans, err := k.volumes.Orphans(known)
	if err != nil {
		log.Error(err, "Could not look for folders of pods that are gone")
	}
	for _, uid := range orphans {
		if err := k.volumes.RemovePod(ctx, uid); err != nil {
			log.Error(err, "Could not remove the folder of a pod that is gone", "uid", uid)
		}
	}
	k.removeLogs(ctx, known)
	groups, err := k.cgroups.Pods()
	if err != nil {
		log.Error(err, "Could not look for control groups of pods that are gone")
	}
	for _, uid := range groups {
		if known(uid) {
			continue
		}
		if err := k.cgroups.RemovePod(uid); err != nil {
			log.Error(err, "Could not remove the control group of a pod that is gone", "uid", uid)
		}
	}
}

// removeLogs removes the logs of pods that are not known. A folder's name is
// namespace_name_uid.
func (k *Kubelet) removeLogs(ctx context.Context, known func(types.UID) bool) {
	dir := k.config.Configuration.PodLogsDir
	entries, err := os.ReadDir(dir)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Could not look for logs of pods that are gone")
		return
	}
	for _, e := range entries {
		parts := strings.Split(e.Name(), "_")
		if len(parts) != 3 || known(types.UID(parts[2])) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			klog.FromContext(ctx).Error(err, "Could not remove logs of a pod that is gone", "folder", e.Name())
		}
	}
}
