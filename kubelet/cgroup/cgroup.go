// Package cgroup keeps the tree of control groups that Pods live in: one group a quality of service class and one a Pod, with the limits
// that their specs ask for. Container runtimes make the containers' groups below. It is plain files on cgroup v1 and v2:
//
//	<root>/kubepods                    what Pods may use in all
//	<root>/kubepods/pod<uid>           Guaranteed
//	<root>/kubepods/burstable/pod<uid>
//	<root>/kubepods/besteffort/pod<uid>
package cgroup

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Config says where the tree is and what is enforced.
type Config struct {
	// Root is the group below which kubepods is made, "/" if empty. Each of several nodes on one machine needs its own.
	Root string
	// Mountpoint of the cgroup file systems, /sys/fs/cgroup if empty.
	Mountpoint string
	// Flat puts all Pods directly below Root, without classes and limits (--cgroups-per-qos=false): EnsurePod then only names Root.
	Flat bool
	// NoCPUQuota leaves CPU limits unenforced (--cpu-cfs-quota=false).
	NoCPUQuota bool
	// CPUPeriod of quotas in microseconds, 100000 if zero.
	CPUPeriod int64
	// PidsLimit bounds each Pod's processes; none if not positive.
	PidsLimit int64
}

// Tree is the tree of one node. Safe for concurrent use.
type Tree struct {
	config Config
	files  files

	mu sync.Mutex
	// requests are the CPU requests of the Burstable Pods, in thousandths; their sum is the class's weight.
	requests map[types.UID]int64
	places   map[types.UID]string
}

// New looks at what the host has and returns the tree; nothing is made yet. It fails where there are no usable cgroups.
func New(config Config) (*Tree, error) {
	if config.Root == "" {
		config.Root = "/"
	}
	if config.Mountpoint == "" {
		config.Mountpoint = "/sys/fs/cgroup"
	}
	if config.CPUPeriod == 0 {
		config.CPUPeriod = defaultPeriod
	}
	found, err := detect(config.Mountpoint)
	if err != nil {
		return nil, err
	}
	return &Tree{config: config, files: found, requests: map[types.UID]int64{}, places: map[types.UID]string{}}, nil
}

// Version is 1 or 2.
func (t *Tree) Version() int {
	if t.files.unified {
		return 2
	}
	return 1
}

// Root is the group of all Pods, for example "/kubepods".
func (t *Tree) Root() string {
	if t.config.Flat {
		return t.config.Root
	}
	return path.Join(t.config.Root, "kubepods")
}

// class is the group of a quality of service class.
func (t *Tree) class(qos corev1.PodQOSClass) string {
	if qos == corev1.PodQOSGuaranteed {
		return t.Root()
	}
	return path.Join(t.Root(), strings.ToLower(string(qos)))
}

// Setup makes the groups of the classes and bounds all Pods together to what the node has to give (allocatable; nil enforces nothing).
// It is to be called at start, and again when allocatable changes.
func (t *Tree) Setup(allocatable corev1.ResourceList) error {
	if t.config.Flat {
		return t.files.create(t.config.Root)
	}
	if err := t.files.create(t.Root()); err != nil {
		return err
	}
	if err := t.files.apply(t.Root(), nodeLimits(allocatable)); err != nil {
		return fmt.Errorf("node allocatable: %w", err)
	}
	for _, qos := range []corev1.PodQOSClass{corev1.PodQOSBurstable, corev1.PodQOSBestEffort} {
		if err := t.files.create(t.class(qos)); err != nil {
			return err
		}
	}
	if err := t.files.apply(t.class(corev1.PodQOSBestEffort), Limits{Shares: minShares}); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.weighBurstable()
}

// Path is the group that a Pod's containers belong in: the cgroup parent to tell the container runtime.
func (t *Tree) Path(pod *corev1.Pod) string {
	if t.config.Flat {
		return t.config.Root
	}
	return path.Join(t.class(QOS(pod)), "pod"+string(pod.UID))
}

// EnsurePod makes the Pod's group with its limits, or brings those up to date, and returns Path.
func (t *Tree) EnsurePod(pod *corev1.Pod) (string, error) {
	group := t.Path(pod)
	if t.config.Flat {
		return group, nil
	}
	if err := t.files.create(group); err != nil {
		return "", fmt.Errorf("cgroup of pod %s: %w", pod.UID, err)
	}
	if err := t.files.apply(group, t.podLimits(pod)); err != nil {
		return "", fmt.Errorf("cgroup of pod %s: %w", pod.UID, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.places[pod.UID] = group
	if QOS(pod) != corev1.PodQOSBurstable {
		return group, nil
	}
	milli := milliCPU(requestsOf(pod))
	if t.requests[pod.UID] == milli {
		return group, nil
	}
	t.requests[pod.UID] = milli
	return group, t.weighBurstable()
}

// weighBurstable gives the class the sum of its Pods' requests. t.mu is held.
func (t *Tree) weighBurstable() error {
	total := int64(0)
	for _, milli := range t.requests {
		total += milli
	}
	return t.files.apply(t.class(corev1.PodQOSBurstable), Limits{Shares: Shares(total)})
}

// RemovePod kills whatever still runs in the Pod's group and removes it. A Pod without a group is no error.
func (t *Tree) RemovePod(pod types.UID) error {
	if t.config.Flat {
		return nil
	}
	for _, group := range t.candidates(pod) {
		if err := t.files.remove(group); err != nil {
			return fmt.Errorf("cgroup of pod %s: %w", pod, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.places, pod)
	if _, burstable := t.requests[pod]; !burstable {
		return nil
	}
	delete(t.requests, pod)
	return t.weighBurstable()
}

// candidates are the places where the group may be: of a Pod from an earlier run the class is not known.
func (t *Tree) candidates(pod types.UID) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if group, ok := t.places[pod]; ok {
		return []string{group}
	}
	var groups []string
	for _, qos := range classes {
		groups = append(groups, path.Join(t.class(qos), "pod"+string(pod)))
	}
	return groups
}

var classes = []corev1.PodQOSClass{corev1.PodQOSGuaranteed, corev1.PodQOSBurstable, corev1.PodQOSBestEffort}

// Pods returns the Pods that have a group, whoever made it.
func (t *Tree) Pods() ([]types.UID, error) {
	if t.config.Flat {
		return nil, nil
	}
	seen := map[types.UID]bool{}
	var pods []types.UID
	for _, qos := range classes {
		for _, base := range t.files.bases() {
			entries, err := os.ReadDir(filepath.Join(base, t.class(qos)))
			if err != nil && !os.IsNotExist(err) {
				return nil, err
			}
			for _, entry := range entries {
				uid, is := strings.CutPrefix(entry.Name(), "pod")
				if is && entry.IsDir() && !seen[types.UID(uid)] {
					seen[types.UID(uid)] = true
					pods = append(pods, types.UID(uid))
				}
			}
		}
	}
	return pods, nil
}

// Remove kills all Pods' processes and removes the whole tree, Root of the Config included unless it is "/".
func (t *Tree) Remove() error {
	if err := t.files.remove(t.Root()); err != nil || t.config.Root == "/" {
		return err
	}
	return t.files.remove(t.config.Root)
}
