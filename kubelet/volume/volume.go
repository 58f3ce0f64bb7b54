// Package volume gives Pods their volumes: it makes what a Pod's spec asks for exist under the node agent's root
// directory, keeps the contents of configMap, secret, downwardAPI and projected volumes current while the Pod
// lives, and takes everything away afterwards. Where volumes lie is upstream's layout, so that an agent can take over a running node:
//
//	<root>/pods/<uid>/volumes/<plugin>/<volume>          contents or mount
//	<root>/pods/<uid>/volume-subpaths/<volume>/<container>/<n>  a subPath, bound
package volume

import (
	"context"
	"errors"
	"fmt"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	mount "k8s.io/mount-utils"

	"github.com/septet-io/septet/kubelet/volume/csi"
	"github.com/septet-io/septet/kubelet/volume/objects"
)

// Config is what Volumes needs to know. RootDir and Client are required.
type Config struct {
	// RootDir is the node agent's directory, for example /var/lib/kubelet.
	RootDir  string
	NodeName string
	Client   kubernetes.Interface
	// Mounter mounts file systems that need a helper program (nfs). Nil uses mount(8).
	Mounter mount.Interface
	// Token issues service account tokens; nil asks the API server.
	Token func(ctx context.Context, namespace, serviceAccount string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error)
	// Allocatable is what Pods on this node may use in all: the downward API's limits where a container has none, and
	// the bound of memory volumes. Nil means unknown.
	Allocatable func() corev1.ResourceList
	// Changed, when set, is told that a Mount which failed may succeed now: an object it lacked has come.
	Changed func(pod types.UID)
	// CSI are the storage drivers that have registered on this node; nil: there are none.
	CSI *csi.Drivers
}

// Mounted is a volume that is there.
type Mounted struct {
	// HostPath is the directory, file or (if Block) device on this machine.
	HostPath string
	// Block means that the claim asks for the raw device.
	Block bool
	// ReadOnly means that no container may write, whatever its mount says.
	ReadOnly bool
	// SupplementalGroup, if not nil, is a group that the Pod's processes need to reach the volume (the PersistentVolume's pv.beta.kubernetes.io/gid).
	SupplementalGroup *int64
}

// Failure is why one volume could not be mounted, in the words of the event that users see.
type Failure struct {
	Volume string
	Err    error
}

// Error is upstream's text of a FailedMount event.
func (f *Failure) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", f.Volume, f.Err)
}

func (f *Failure) Unwrap() error { return f.Err }

// Volumes are all volumes of the Pods on this node. Safe for concurrent use; work for one Pod is done in order.
type Volumes struct {
	config  Config
	objects *objects.Store

	mu   sync.Mutex
	pods map[types.UID]*podVolumes
	// users says which Pods mount which ConfigMaps and Secrets.
	users map[objects.Key]map[types.UID]bool

	// staging is held while a CSI volume is made ready for the node, or no longer is.
	staging sync.Mutex
}

// podVolumes is what is known of one Pod's volumes.
type podVolumes struct {
	// mu is held while anything is done to the Pod's volumes.
	mu      sync.Mutex
	pod     *corev1.Pod
	gone    bool
	mounted map[string]Mounted
	failed  bool // the last Mount
	refresh stopper
	keys    []objects.Key

	tokenMu sync.Mutex
	tokens  map[tokenKey]*token
}

// New returns Volumes for a node. Nothing on the disk is touched.
func New(config Config) *Volumes {
	v := &Volumes{config: config, pods: map[types.UID]*podVolumes{}, users: map[objects.Key]map[types.UID]bool{}}
	v.objects = objects.New(config.Client, v.objectChanged)
	if v.config.Mounter == nil {
		v.config.Mounter = mount.New("")
	}
	if v.config.Token == nil {
		v.config.Token = func(ctx context.Context, namespace, account string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
			return config.Client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
		}
	}
	return v
}

// Close stops watches and timers. Volumes stay as they are.
func (v *Volumes) Close() {
	v.objects.Close()
	v.mu.Lock()
	pods := make([]*podVolumes, 0, len(v.pods))
	for _, p := range v.pods {
		pods = append(pods, p)
	}
	v.mu.Unlock()
	// Without v.mu, which a Mount takes while it holds its Pod's.
	for _, p := range pods {
		p.mu.Lock()
		p.refresh.stop()
		p.mu.Unlock()
	}
}

// Mount makes all volumes that the Pod's containers use exist, and brings their contents up to date; it returns them
// by volume name. It may be called as often as one likes, with the Pod as it now is. Volumes of kind image are the container
// runtime's and are not among them. The error joins a *Failure for each volume that is not there.
func (v *Volumes) Mount(ctx context.Context, pod *corev1.Pod) (map[string]Mounted, error) {
	p := v.podOf(pod.UID)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil, fmt.Errorf("volumes of pod %s are being removed", pod.UID)
	}
	p.pod = pod
	wanted := used(pod)
	v.use(pod.UID, p, keysOf(pod, wanted))
	err := v.mountAll(ctx, p, wanted)
	p.failed = err != nil
	if err != nil {
		return nil, err
	}
	result := make(map[string]Mounted, len(wanted))
	for _, volume := range wanted {
		result[volume.Name] = p.mounted[volume.Name]
	}
	return result, nil
}

// mountAll sets up the volumes side by side: most of the time is waiting for the API server.
func (v *Volumes) mountAll(ctx context.Context, p *podVolumes, wanted []*corev1.Volume) error {
	var (
		group sync.WaitGroup
		found = make([]Mounted, len(wanted))
		errs  = make([]error, len(wanted))
	)
	for i, volume := range wanted {
		if m, ok := p.mounted[volume.Name]; ok && !hasContents(volume) {
			found[i] = m
			continue
		}
		group.Go(func() {
			var err error
			if found[i], err = v.mountOne(ctx, p, volume); err != nil {
				errs[i] = &Failure{Volume: volume.Name, Err: err}
			}
		})
	}
	group.Wait()
	for i, volume := range wanted {
		if errs[i] == nil {
			p.mounted[volume.Name] = found[i]
		}
	}
	v.scheduleRefresh(p)
	return errors.Join(errs...)
}

func (v *Volumes) podOf(uid types.UID) *podVolumes {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.pods[uid]
	if p == nil {
		p = &podVolumes{mounted: map[string]Mounted{}, tokens: map[tokenKey]*token{}}
		v.pods[uid] = p
	}
	return p
}

// used returns the volumes that some container mounts; others are never set up. Images are not the node agent's.
func used(pod *corev1.Pod) []*corev1.Volume {
	names := map[string]bool{}
	note := func(mounts []corev1.VolumeMount, devices []corev1.VolumeDevice) {
		for i := range mounts {
			names[mounts[i].Name] = true
		}
		for i := range devices {
			names[devices[i].Name] = true
		}
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			note(list[i].VolumeMounts, list[i].VolumeDevices)
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		note(pod.Spec.EphemeralContainers[i].VolumeMounts, pod.Spec.EphemeralContainers[i].VolumeDevices)
	}
	var list []*corev1.Volume
	for i := range pod.Spec.Volumes {
		if volume := &pod.Spec.Volumes[i]; names[volume.Name] && volume.Image == nil {
			list = append(list, volume)
		}
	}
	return list
}
