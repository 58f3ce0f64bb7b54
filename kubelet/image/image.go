// Package image makes sure that the images which containers need are on the node,
// as their pull policies say, with the credentials that their pods bring, and
// removes images that nothing uses when the disk fills up.
package image

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"golang.org/x/time/rate"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/cri"
)

// Reasons why an image is not there; they become the waiting reasons of containers.
const (
	ReasonPull        = "ErrImagePull"
	ReasonBackOff     = "ImagePullBackOff"
	ReasonNeverPull   = "ErrImageNeverPull"
	ReasonInspect     = "ImageInspectError"
	ReasonInvalidName = "InvalidImageName"
	ReasonRegistry    = "RegistryUnavailable"
	ReasonSignature   = "SignatureValidationFailed"
)

// The delay between pulls of an image for a pod doubles from one to the other.
const (
	firstBackOff = 10 * time.Second
	maxBackOff   = 300 * time.Second
)

// Error is why an image is not there.
type Error struct {
	Reason, Message string
	// Retry is when another attempt may bring something else.
	Retry time.Time
}

func (e *Error) Error() string { return e.Reason + ": " + e.Message }

// Config is what of the KubeletConfiguration concerns images.
type Config struct {
	// Parallel is how many pulls may run at a time; 0 means any number.
	Parallel int
	// QPS and Burst bound how many pulls start; QPS 0 means no bound.
	QPS   float32
	Burst int
}

// Images ensures images. It is safe for concurrent use.
type Images struct {
	runtime  cri.Images
	recorder record.EventRecorder
	slots    chan struct{}
	limiter  *rate.Limiter
	backoff  *flowcontrol.Backoff

	mu sync.Mutex
	// failures is the last error of a pull by back-off key.
	failures map[string]string
}

// New returns Images that asks the runtime.
func New(runtime cri.Images, recorder record.EventRecorder, config Config) *Images {
	i := &Images{
		runtime: runtime, recorder: recorder, failures: map[string]string{},
		backoff: flowcontrol.NewBackOff(firstBackOff, maxBackOff),
	}
	if config.Parallel > 0 {
		i.slots = make(chan struct{}, config.Parallel)
	}
	if config.QPS > 0 {
		i.limiter = rate.NewLimiter(rate.Limit(config.QPS), max(config.Burst, 1))
	}
	return i
}

// Request is one image that a pod needs.
type Request struct {
	Pod *v1.Pod
	// Container of the pod that needs it, for events; empty for an image volume.
	Container string
	Image     string
	Policy    v1.PullPolicy
	// Secrets are the pod's pull secrets, those that exist.
	Secrets []*v1.Secret
	Handler string
	Sandbox *runtimeapi.PodSandboxConfig
}

// Ensure returns the image, pulled first if need be; ref is how the runtime wants
// it named. The error is an *Error, or ctx's.
func (i *Images) Ensure(ctx context.Context, r Request) (ref string, image *runtimeapi.Image, err error) {
	name, err := Normalize(r.Image)
	if err != nil {
		i.event(r, v1.EventTypeWarning, "InspectFailed", fmt.Sprintf("Failed to apply default image tag %q: %v", r.Image, err))
		return "", nil, &Error{ReasonInvalidName, fmt.Sprintf("Failed to apply default image tag %q: %v", r.Image, err), later(maxBackOff)}
	}
	wanted := &runtimeapi.ImageSpec{Image: name, UserSpecifiedImage: r.Image, RuntimeHandler: r.Handler}
	image, err = i.runtime.ImageStatus(ctx, wanted)
	if err != nil {
		i.event(r, v1.EventTypeWarning, "InspectFailed", fmt.Sprintf("Failed to inspect image %q: %v", name, err))
		return "", nil, &Error{ReasonInspect, fmt.Sprintf("Failed to inspect image %q: %v", name, err), later(firstBackOff)}
	}
	present := image != nil
	switch policyOf(r, name) {
	case v1.PullNever:
		if !present {
			message := fmt.Sprintf("Container image %q is not present with pull policy of Never", r.Image)
			i.event(r, v1.EventTypeWarning, ReasonNeverPull, message)
			return "", nil, &Error{ReasonNeverPull, message, later(firstBackOff)}
		}
		i.present(r)
		return image.GetId(), image, nil
	case v1.PullIfNotPresent:
		if present {
			i.present(r)
			return image.GetId(), image, nil
		}
	}
	return i.pull(ctx, r, wanted)
}

func (i *Images) present(r Request) {
	i.event(r, v1.EventTypeNormal, "Pulled", fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", r.Image))
}

// policyOf is the request's policy; without one, images named latest are pulled always.
func policyOf(r Request, name string) v1.PullPolicy {
	if r.Policy != "" {
		return r.Policy
	}
	if strings.HasSuffix(name, ":latest") {
		return v1.PullAlways
	}
	return v1.PullIfNotPresent
}

// Normalize checks an image's name and gives it the tag "latest" if it has
// neither tag nor digest; otherwise it stays as it is.
func Normalize(name string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", fmt.Errorf("couldn't parse image name %q: %v", name, err)
	}
	_, tagged := named.(reference.Tagged)
	_, digested := named.(reference.Digested)
	if !tagged && !digested {
		name += ":latest"
	}
	return name, nil
}

// Collect forgets back-offs that ended long ago.
func (i *Images) Collect() {
	i.backoff.GC()
	i.mu.Lock()
	defer i.mu.Unlock()
	for key := range i.failures {
		if i.backoff.Get(key) == 0 {
			delete(i.failures, key)
		}
	}
}

func (i *Images) event(r Request, kind, reason, message string) {
	i.recorder.Event(cri.Reference(r.Pod, r.Container), kind, reason, message)
}

func later(d time.Duration) time.Time { return time.Now().Add(d) }
