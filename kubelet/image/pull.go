package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// settled is how long a failed pull is shown as such before it is shown as
// waiting for the next.
const settled = 5 * time.Second

// pull pulls the image unless that failed for this pod a short while ago.
func (i *Images) pull(ctx context.Context, r Request, wanted *runtimeapi.ImageSpec) (string, *runtimeapi.Image, error) {
	key := string(r.Pod.UID) + "_" + wanted.Image
	if i.backoff.IsInBackOffSinceUpdate(key, i.backoff.Clock.Now()) {
		return "", nil, i.waiting(r, key)
	}
	i.event(r, v1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", r.Image))
	queued := time.Now()
	ref, began, err := i.turn(ctx, r, wanted)
	if err == nil {
		var image *runtimeapi.Image
		if image, err = i.runtime.ImageStatus(ctx, &runtimeapi.ImageSpec{Image: ref, RuntimeHandler: r.Handler}); err == nil {
			i.backoff.DeleteEntry(key)
			now := time.Now()
			i.event(r, v1.EventTypeNormal, "Pulled", fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.",
				r.Image, now.Sub(began).Truncate(time.Millisecond), now.Sub(queued).Truncate(time.Millisecond), image.GetSize()))
			return ref, image, nil
		}
	}
	if ctx.Err() != nil {
		return "", nil, ctx.Err()
	}
	i.event(r, v1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %s", r.Image, words(err)))
	i.backoff.Next(key, i.backoff.Clock.Now())
	reason, message := classify(r, err)
	i.mu.Lock()
	i.failures[key] = reason + ": " + message
	i.mu.Unlock()
	return "", nil, &Error{reason, message, later(min(settled, i.backoff.Get(key)))}
}

// waiting is the answer to one who asks again before the back-off is over.
func (i *Images) waiting(r Request, key string) error {
	message := fmt.Sprintf("Back-off pulling image %q", r.Image)
	i.event(r, v1.EventTypeNormal, "BackOff", message)
	i.mu.Lock()
	if cause := i.failures[key]; cause != "" {
		message += ": " + cause
	}
	i.mu.Unlock()
	return &Error{ReasonBackOff, message, i.due(key)}
}

// due is when the back-off of key is over.
func (i *Images) due(key string) time.Time {
	now := i.backoff.Clock.Now()
	delay := i.backoff.Get(key)
	low, high := time.Duration(0), delay
	// The back-off does not tell when it began; whether it is over at a moment it
	// does, so look for the first such moment, to a tenth of a second.
	for high-low > 100*time.Millisecond {
		if middle := (low + high) / 2; i.backoff.IsInBackOffSinceUpdate(key, now.Add(middle)) {
			low = middle
		} else {
			high = middle
		}
	}
	return now.Add(high)
}

// turn waits for its turn and pulls.
func (i *Images) turn(ctx context.Context, r Request, wanted *runtimeapi.ImageSpec) (ref string, began time.Time, err error) {
	if i.limiter != nil && !i.limiter.Allow() {
		return "", time.Now(), errors.New("pull QPS exceeded")
	}
	if i.slots != nil {
		select {
		case i.slots <- struct{}{}:
			defer func() { <-i.slots }()
		case <-ctx.Done():
			return "", time.Now(), ctx.Err()
		}
	}
	began = time.Now()
	if policyOf(r, wanted.Image) != v1.PullAlways {
		// Another pod's pull may have brought it while this one waited.
		if image, err := i.runtime.ImageStatus(ctx, wanted); err == nil && image != nil {
			return image.GetId(), began, nil
		}
	}
	credentials, err := matching(wanted.Image, r.Secrets)
	if err != nil {
		return "", began, err
	}
	if len(credentials) == 0 {
		credentials = []*runtimeapi.AuthConfig{nil}
	}
	var errs []error
	for _, auth := range credentials {
		if ref, err = i.runtime.PullImage(ctx, wanted, auth, r.Sandbox); err == nil {
			return ref, began, nil
		}
		errs = append(errs, err)
	}
	return "", began, errors.Join(errs...)
}

// classify turns the runtime's error into a reason. Runtimes say by the prefix of
// the message that it is more than a failed pull.
func classify(r Request, err error) (reason, message string) {
	text := words(err)
	switch {
	case strings.HasPrefix(text, ReasonRegistry):
		return ReasonRegistry, fmt.Sprintf("image pull failed for %s because the registry is unavailable: %s", r.Image, strings.TrimPrefix(text, ReasonRegistry+":"))
	case strings.HasPrefix(text, ReasonSignature):
		return ReasonSignature, fmt.Sprintf("image pull failed for %s because the signature validation failed: %s", r.Image, strings.TrimPrefix(text, ReasonSignature+":"))
	}
	return ReasonPull, text
}

// words are what the runtime says, without the protocol's own.
func words(err error) string {
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK {
		return s.Message()
	}
	return err.Error()
}
