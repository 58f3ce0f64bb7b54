package kubelet

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/kubelet/evict"
	"github.com/septet-io/septet/kubelet/image"
	"github.com/septet-io/septet/kubelet/pod"

	"github.com/septet-io/septet/kubelet/cri"
)

// thresholds are the configuration's, over the defaults as it wants.
func (k *Kubelet) thresholds() ([]evict.Threshold, error) {
	c := k.config.Configuration
	hard := c.EvictionHard
	if hard == nil || *c.MergeDefaultEvictionSettings {
		hard = evict.Defaults()
		for signal, value := range c.EvictionHard {
			hard[signal] = value
		}
	}
	return evict.Parse(hard, c.EvictionSoft, c.EvictionSoftGracePeriod, c.EvictionMinimumReclaim)
}

func (k *Kubelet) buildEvictor() error {
	c := k.config.Configuration
	thresholds, err := k.thresholds()
	if err != nil {
		return err
	}
	k.unused = image.NewCollector(k.runtime, image.CollectorConfig{
		HighPercent: int(*c.ImageGCHighThresholdPercent), LowPercent: int(*c.ImageGCLowThresholdPercent),
		MinAge: c.ImageMinimumGCAge.Duration, MaxAge: c.ImageMaximumGCAge.Duration,
	})
	k.evictor = evict.New(evict.Config{
		Thresholds: thresholds, Transition: c.EvictionPressureTransitionPeriod.Duration, MaxSoftGrace: int64(c.EvictionMaxPodGracePeriod),
		Observe: k.observe, Candidates: k.candidates, Free: k.freeDisk, Evict: k.evict, Changed: func() { k.node.Kick() },
		Recorder: k.events, Node: &v1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: k.config.NodeName},
	})
	return nil
}

// evictionReserve is what the hard thresholds keep from pods.
func (k *Kubelet) evictionReserve() v1.ResourceList {
	out := v1.ResourceList{}
	thresholds, err := k.thresholds()
	if err != nil {
		return out // told of by buildEvictor
	}
	for _, t := range thresholds {
		if !t.Hard {
			continue
		}
		switch t.Signal {
		case evict.MemoryAvailable:
			out[v1.ResourceMemory] = *resource.NewQuantity(limitOf(t, k.machine.Memory), resource.BinarySI)
		case evict.NodeFsAvailable:
			out[v1.ResourceEphemeralStorage] = *resource.NewQuantity(limitOf(t, k.machine.Storage), resource.BinarySI)
		}
	}
	return out
}

func limitOf(t evict.Threshold, capacity int64) int64 {
	if t.Percent > 0 {
		return int64(t.Percent / 100 * float64(capacity))
	}
	return t.Quantity.Value()
}

// observe measures what is left on the node.
func (k *Kubelet) observe(ctx context.Context) (map[evict.Signal]evict.Observation, error) {
	imageDir := ""
	if info, err := k.runtime.ImageFsInfo(ctx); err == nil && len(info.GetImageFilesystems()) > 0 {
		imageDir = info.GetImageFilesystems()[0].GetFsId().GetMountpoint()
	}
	if imageDir != "" && !exists(imageDir) {
		imageDir = ""
	}
	return evict.Measure(k.config.RootDir, imageDir, evict.ProcMemory)
}

// candidates measures the pods that could be evicted.
func (k *Kubelet) candidates(ctx context.Context) []evict.Candidate {
	stats, err := k.runtime.ListPodSandboxStats(ctx, nil)
	if err != nil {
		klog.FromContext(ctx).V(1).Info("Could not measure the pods", "err", err)
	}
	used := map[string]evict.Usage{}
	for _, s := range stats {
		u := evict.Usage{
			Memory:    int64(s.GetLinux().GetMemory().GetWorkingSetBytes().GetValue()),
			Processes: int64(s.GetLinux().GetProcess().GetProcessCount().GetValue()),
		}
		for _, c := range s.GetLinux().GetContainers() {
			u.Disk += int64(c.GetWritableLayer().GetUsedBytes().GetValue())
			u.Inodes += int64(c.GetWritableLayer().GetInodesUsed().GetValue())
		}
		used[s.GetAttributes().GetLabels()[cri.LabelPodUID]] = u
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []evict.Candidate
	for uid, e := range k.pods {
		if e.worker == nil || e.rejected || e.worker.View().Terminating {
			continue
		}
		out = append(out, evict.Candidate{Pod: e.given, Usage: used[string(uid)]})
	}
	return out
}

// freeDisk frees disk without ending a pod.
func (k *Kubelet) freeDisk(ctx context.Context) error { return k.unused.RemoveUnused(ctx) }

// evict ends a pod for the node's sake.
func (k *Kubelet) evict(victim *v1.Pod, reason, message string, grace int64) {
	k.events.Event(cri.Reference(victim, ""), v1.EventTypeWarning, reason, message)
	if w := k.worker(victim.UID); w != nil {
		w.Terminate(pod.End{
			Phase: v1.PodFailed, Reason: reason, Message: message, Grace: ptr.To(grace),
			Conditions: []v1.PodCondition{{
				Type: v1.DisruptionTarget, Status: v1.ConditionTrue, Reason: v1.PodReasonTerminationByKubelet, Message: message,
				LastTransitionTime: metav1.Now(),
			}},
		})
	}
}

// pressures are the conditions that the node is under.
func (k *Kubelet) pressures() map[v1.NodeConditionType]bool { return k.evictor.Under(time.Now()) }
