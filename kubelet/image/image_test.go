package image

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/cri/fake"
)

func runtimeFor(t *testing.T, config fake.Config) (*fake.Server, *cri.Remote) {
	t.Helper()
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server, err := fake.Listen(dir, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	remote, err := cri.Dial(server.Endpoint, "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remote.Close() })
	return server, remote
}

func pullSecret(registry, user string) *v1.Secret {
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":secret"))
	return &v1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: user}, Type: v1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{v1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, registry, auth)},
	}
}

func TestCredentialsAreThoseOfTheRegistry(t *testing.T) {
	t.Parallel()
	secrets := []*v1.Secret{
		pullSecret("https://index.docker.io/v1/", "hub"), pullSecret("registry.example.com", "all"), pullSecret("registry.example.com/team", "team"),
		pullSecret("*.wild.org", "wild"), pullSecret("localhost:5000", "local"),
	}
	for image, want := range map[string][]string{
		"busybox":                           {"hub"},
		"docker.io/library/busybox:1":       {"hub"},
		"registry.example.com/app":          {"all"},
		"registry.example.com/team/app:1":   {"team", "all"},
		"registry.example.com/teamwork/a":   {"all"},
		"a.wild.org/x":                      {"wild"},
		"a.b.wild.org/x":                    nil,
		"localhost:5000/x":                  {"local"},
		"ghcr.io/x/y@sha256:" + digest('0'): nil,
	} {
		found, err := matching(image, secrets)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, auth := range found {
			got = append(got, auth.Username)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", image, got, want)
		}
	}
	bad := pullSecret("x", "y")
	bad.Data[v1.DockerConfigJsonKey] = []byte("{secret stuff")
	if _, err := matching("x/y", []*v1.Secret{bad}); err == nil || fmt.Sprint(err) != "pull secret ns/y is not valid JSON" {
		t.Errorf("error is %v", err)
	}
}

func digest(b byte) string {
	out := make([]byte, 64)
	for i := range out {
		out[i] = b
	}
	return string(out)
}

func TestPoliciesDecideAboutPulling(t *testing.T) {
	t.Parallel()
	server, remote := runtimeFor(t, fake.Config{Missing: true, Pull: func(image string, auth *runtimeapi.AuthConfig) error {
		if image == "private.io/app:1" && auth.GetUsername() != "me" {
			return errors.New("unauthorized")
		}
		return nil
	}})
	images := New(remote, record.NewFakeRecorder(100), Config{Parallel: 1})
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Namespace: "ns"}}
	ensure := func(image string, policy v1.PullPolicy, secrets ...*v1.Secret) string {
		_, _, err := images.Ensure(context.Background(), Request{Pod: pod, Container: "c", Image: image, Policy: policy, Secrets: secrets})
		var failed *Error
		if errors.As(err, &failed) {
			return failed.Reason
		}
		return fmt.Sprint(err)
	}
	for _, step := range []struct {
		image  string
		policy v1.PullPolicy
		secret *v1.Secret
		want   string
		pulls  int
	}{
		{"app:1", v1.PullNever, nil, ReasonNeverPull, 0},
		{"app:1", v1.PullIfNotPresent, nil, "<nil>", 1},
		{"app:1", v1.PullIfNotPresent, nil, "<nil>", 1},
		{"app:1", v1.PullNever, nil, "<nil>", 1},
		{"app:1", v1.PullAlways, nil, "<nil>", 2},
		{"app", "", nil, "<nil>", 3},
		{"app", "", nil, "<nil>", 4}, // latest is always pulled
		{"private.io/app:1", v1.PullIfNotPresent, nil, ReasonPull, 5},
		{"private.io/app:1", v1.PullIfNotPresent, nil, ReasonBackOff, 5},
		{"Bad Name", v1.PullAlways, nil, ReasonInvalidName, 5},
	} {
		var secrets []*v1.Secret
		if step.secret != nil {
			secrets = append(secrets, step.secret)
		}
		if got := ensure(step.image, step.policy, secrets...); got != step.want {
			t.Errorf("%s %s: %s, want %s", step.image, step.policy, got, step.want)
		}
		if got := server.Calls("PullImage"); got != step.pulls {
			t.Errorf("%s %s: %d pulls, want %d", step.image, step.policy, got, step.pulls)
		}
	}
	pod.UID = "another pod"
	if got := ensure("private.io/app:1", v1.PullIfNotPresent, pullSecret("private.io", "you"), pullSecret("private.io/app", "me")); got != "<nil>" {
		t.Errorf("with the right secret: %s", got)
	}
}

func TestUnusedImagesGoWhenTheDiskIsFull(t *testing.T) {
	t.Parallel()
	_, remote := runtimeFor(t, fake.Config{Missing: true})
	ctx := context.Background()
	for _, image := range []string{"old:1", "used:1"} {
		if _, err := remote.PullImage(ctx, &runtimeapi.ImageSpec{Image: image}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	config := &runtimeapi.PodSandboxConfig{Metadata: &runtimeapi.PodSandboxMetadata{Name: "p", Uid: "u", Namespace: "ns"}}
	sandbox, err := remote.RunPodSandbox(ctx, config, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.CreateContainer(ctx, sandbox, &runtimeapi.ContainerConfig{Metadata: &runtimeapi.ContainerMetadata{Name: "c"}, Image: &runtimeapi.ImageSpec{Image: "used:1"}}, config); err != nil {
		t.Fatal(err)
	}
	c := NewCollector(remote, CollectorConfig{HighPercent: 85, LowPercent: 80})
	c.usage = func(string) (uint64, uint64, error) { return 100 << 20, 50 << 20, nil }
	names := func() string {
		list, err := remote.ListImages(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, image := range list {
			out[image.GetRepoTags()[0]] = true
		}
		return fmt.Sprint(out)
	}
	if err := c.Collect(ctx); err != nil || names() != "map[old:1:true used:1:true]" {
		t.Fatalf("half full: %s, %v", names(), err)
	}
	c.usage = func(string) (uint64, uint64, error) { return 100 << 20, 10 << 20, nil }
	if err := c.Collect(ctx); err == nil || names() != "map[used:1:true]" {
		t.Fatalf("nearly full: %s, %v", names(), err)
	}
}
