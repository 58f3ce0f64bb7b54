package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/test/images"
)

// bench is the cluster that is measured, started anew for each run.
type bench struct {
	septet, data, image string
	order               []*measurement
	byName              map[string]*measurement
	server              *exec.Cmd
	set                 *client.Set
}

const (
	imageName = "septet.test/bench:1"
	patience  = 60 * time.Second
)

func newBench() (*bench, error) {
	septet, err := filepath.Abs("bin/septet")
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("a node needs root")
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("%w (make deps)", err)
	}
	data, err := os.MkdirTemp("/var/tmp", "septet-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{septet: septet, data: data, image: data + ".tar", byName: map[string]*measurement{}}
	files := map[string]images.File{"/bin/busybox": {Content: busybox, Mode: 0o755}}
	for _, name := range []string{"sh", "sleep", "httpd", "wget", "timeout"} {
		files["/bin/"+name] = images.File{Link: "busybox"}
	}
	image := images.Image{Name: imageName, Files: files, Config: v1.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sleep", "100000"}}}
	return b, image.Write(b.image)
}

func (b *bench) clean() {
	if err := b.down(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.Remove(b.image)
}

func (b *bench) binarySize() error {
	info, err := os.Stat(b.septet)
	if err != nil {
		return fmt.Errorf("%w (make build)", err)
	}
	b.note("binary with everything carried", float64(info.Size())/1e6, 120, "MB")
	return nil
}

// start runs a server on an empty directory and measures its way to a working application; whole also measures the rest.
func (b *bench) start(whole bool) error {
	if err := b.down(); err != nil {
		return err
	}
	b.server = exec.Command(b.septet, "server", "--data-dir", b.data, "--write-kubeconfig", "none")
	b.server.Stderr = os.Stderr
	began := time.Now()
	if err := b.server.Start(); err != nil {
		return err
	}
	if err := b.awaitReady(); err != nil {
		return err
	}
	b.note("exec of `septet server` to /readyz ok", seconds(began), 0.3, "s")
	var err error
	if b.set, err = client.FromKubeconfig(filepath.Join(b.data, "admin.kubeconfig"), "", "bench"); err != nil {
		return err
	}
	if err := b.awaitNode(); err != nil {
		return err
	}
	b.note("… to the node being Ready", seconds(began), 1.5, "s")
	// Loading the image is not part of the figure: it stands for one that is there.
	pause := time.Now()
	if out, err := exec.Command(b.septet, "image", "load", "--data-dir", b.data, b.image).CombinedOutput(); err != nil {
		return fmt.Errorf("image load: %w: %s", err, out)
	}
	loading := time.Since(pause)
	if err := b.run("first"); err != nil {
		return err
	}
	b.note("… to the first Pod Running and ready (image present)", seconds(began.Add(loading)), 2.5, "s")
	if err := b.application(); err != nil {
		return err
	}
	b.note("… to an application answering through its Service by name", seconds(began.Add(loading)), 5, "s")
	if !whole {
		return nil
	}
	return b.rest()
}

func (b *bench) awaitReady() error {
	c := &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // health is for everybody
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if response, err := c.Get("https://127.0.0.1:6443/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return errors.New("the server does not become ready")
}

func (b *bench) awaitNode() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		nodes, err := b.set.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
		if err != nil || len(nodes.Items) == 0 {
			continue
		}
		for _, c := range nodes.Items[0].Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && len(nodes.Items[0].Spec.Taints) == 0 {
				return nil
			}
		}
	}
	return errors.New("the node does not become ready")
}

// pod is a Pod of the bench's image.
func pod(name string, command ...string) *corev1.Pod {
	zero := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": strings.Split(name, "-")[0]}},
		Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &zero, Containers: []corev1.Container{{
			Name: "main", Image: imageName, ImagePullPolicy: corev1.PullNever, Command: command,
		}}},
	}
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// run creates a Pod and waits until it is ready, by watching.
func (b *bench) run(name string) error {
	return b.until(name, ready, func() error { return b.create(pod(name)) })
}

// create makes a Pod; a namespace that is seconds old may not have its service account yet.
func (b *bench) create(p *corev1.Pod) error {
	_, err := b.set.CoreV1().Pods("default").Create(context.Background(), p, metav1.CreateOptions{})
	return err
}

// until watches a Pod, does something, and returns when holds says so.
func (b *bench) until(name string, holds func(*corev1.Pod) bool, do func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w, err := b.set.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	if err != nil {
		return err
	}
	defer w.Stop()
	if err := do(); err != nil {
		return err
	}
	for event := range w.ResultChan() {
		if p, ok := event.Object.(*corev1.Pod); ok && event.Type != watch.Deleted && holds(p) {
			return nil
		}
	}
	return fmt.Errorf("pod %s: not within %s", name, patience)
}

// exec runs a command in a Pod and returns what it printed.
func (b *bench) exec(name string, command ...string) (string, error) {
	cmd := exec.Command(b.septet, append([]string{"kubectl", "exec", name, "--"}, command...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(b.data, "admin.kubeconfig"))
	out, err := cmd.Output()
	return string(out), err
}

// down stops the server and removes everything.
func (b *bench) down() error {
	if b.server != nil {
		if err := b.server.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		if _, err := b.server.Process.Wait(); err != nil {
			return err
		}
		b.server = nil
	}
	out, err := exec.Command(b.septet, "down", "--data-dir", b.data, "--write-kubeconfig", "none").CombinedOutput()
	if err != nil {
		return fmt.Errorf("down: %w: %s", err, out)
	}
	return nil
}

// resident is the server's memory in MB, and used the CPU time that it has used.
func (b *bench) resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.server.Process.Pid))
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb / 1024, err
		}
	}
	return 0, io.ErrUnexpectedEOF
}

func (b *bench) used() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.server.Process.Pid))
	if err != nil {
		return 0, err
	}
	words := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.Atoi(words[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(words[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}
