package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestAnApplicationsLife is the story of a cluster of two nodes: an application of every kind of part is put on it, used,
// changed under load, moved from node to node, survives the death of what runs it, and is removed without a trace.
// Its chapters build on each other.
//
// conformance: init-container-starts-app-restartalways-pod
func TestAnApplicationsLife(t *testing.T) {
	c := start(t, 2)
	manifest, err := os.ReadFile(filepath.Join("testdata", "application.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.apply(t, string(manifest))
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=90s")
	c.kubectl(t, "rollout", "status", "statefulset/db", "--timeout=90s")
	for _, chapter := range []struct {
		name string
		tell func(*testing.T, *cluster)
	}{
		{"people look at it", look},
		{"Pods reach Pods and Services on both nodes", reach},
		{"the outside reaches it", outside},
		{"people get into it", intoIt},
		{"jobs end", jobs},
		{"data outlives Pods", data},
		{"limits hold, and what does not fit says why", limits},
		{"it is updated under load without a failed request", update},
		{"a node is drained", drain},
		{"the server is killed", killServer},
		{"the container runtime is killed", killRuntime},
		{"its journey is told", journey},
		{"everything is deleted", deleteAll},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.tell(t, c) }) {
			return // what follows would only be confused by it
		}
	}
}

func look(t *testing.T, c *cluster) {
	wide := c.kubectl(t, "get", "pods", "-o", "wide")
	for _, want := range []string{"NOMINATED NODE", "2/2", "Running"} {
		if !strings.Contains(wide, want) {
			t.Errorf("get pods -o wide lacks %q:\n%s", want, wide)
		}
	}
	described := c.kubectl(t, "describe", "deployment", "web")
	for _, want := range []string{"ScalingReplicaSet", "MinimumReplicasAvailable", "3 desired | 3 updated | 3 total | 3 available | 0 unavailable"} {
		if !strings.Contains(described, want) {
			t.Errorf("describe lacks %q:\n%s", want, described)
		}
	}
	pod := c.names(t, "pods", "app=web")[0]
	if described = c.kubectl(t, "describe", "pod", pod); !strings.Contains(described, "Successfully assigned default/"+pod) {
		t.Errorf("describe pod does not say who placed it:\n%s", described)
	}
	if status := c.run(t, "status", "--data-dir", c.data); strings.Contains(status, "NOT OK") || strings.Count(status, "healthy") != 10 {
		t.Errorf("status:\n%s", status)
	}
	second := exec.Command(c.septet, "server", "--background", "--data-dir", t.TempDir(), "--write-kubeconfig", "none")
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "cannot listen") || !strings.Contains(string(out), "say --port") {
		t.Errorf("a second server on the same port: %v\n%s", err, out)
	}
	c.kubectl(t, "explain", "deployment.spec.strategy")
	if out := c.kubectl(t, "auth", "can-i", "create", "pods"); strings.TrimSpace(out) != "yes" {
		t.Errorf("auth can-i: %s", out)
	}
}

// reach tries every Pod and Service from a Pod on each node, by address and by name.
//
// conformance: Networking, intra pod http
// conformance: Service, ClusterIP type, session affinity to ClientIP
// conformance: Conformance tests minimum number of nodes.
// conformance: ConfigMap, from environment field
func reach(t *testing.T, c *cluster) {
	pods := c.names(t, "pods", "app=web")
	nodes := map[string]string{} // a Pod on each node
	var urls []string
	for _, pod := range pods {
		nodes[c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")] = pod
		urls = append(urls, "http://"+c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.status.podIP}")+":8080/")
	}
	if len(nodes) != 2 {
		t.Fatalf("the Pods are on %d nodes", len(nodes))
	}
	for _, service := range []string{"web", "web-node", "web-balanced", "web-sticky"} {
		urls = append(urls, "http://"+c.kubectl(t, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}")+"/", "http://"+service+"/",
			"http://"+service+".default.svc.cluster.local/")
	}
	urls = append(urls, "http://web-elsewhere/", "http://"+c.kubectl(t, "get", "service", "web-balanced", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")+"/")
	for node, pod := range nodes {
		for _, url := range urls {
			if page, err := c.fetch(pod, url); err != nil || !strings.Contains(page, "hello from web-") {
				t.Errorf("from %s on %s, %s: %v %q", pod, node, url, err, page)
			}
		}
	}
	first, err := c.fetch(pods[0], "http://web-sticky/")
	for range 8 {
		if page, again := c.fetch(pods[0], "http://web-sticky/"); err != nil || again != nil || page != first {
			t.Errorf("session affinity: %q, then %q (%v %v)", first, page, err, again)
		}
	}
}

func get(url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", response.Status)
	}
	return string(body), err
}

// conformance: Service, NodePort Service
func outside(t *testing.T, c *cluster) {
	balancer := c.kubectl(t, "get", "service", "web-balanced", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
	port := c.kubectl(t, "get", "service", "web-node", "-o", "jsonpath={.spec.ports[0].nodePort}")
	urls := []string{"http://" + balancer + "/"}
	for _, node := range strings.Fields(c.kubectl(t, "get", "nodes", "-o", `jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}`)) {
		urls = append(urls, "http://"+net.JoinHostPort(node, port)+"/")
	}
	for _, url := range urls {
		if page, err := get(url); err != nil || !strings.Contains(page, "hello") {
			t.Errorf("%s: %v %q", url, err, page)
		}
	}
}

// intoIt uses what goes on to the kubelet: logs, exec, cp and port-forward.
//
// conformance: Kubelet, log output, default
// conformance: EmptyDir, Shared volumes between containers
func intoIt(t *testing.T, c *cluster) {
	for _, pod := range c.names(t, "pods", "app=web") {
		if out := c.kubectl(t, "logs", pod, "-c", "web"); !strings.Contains(out, "serving") {
			t.Errorf("logs of %s: %q", pod, out)
		}
		if out := c.kubectl(t, "exec", pod, "-c", "web", "--", "cat", "/www/password"); out != "open-sesame" {
			t.Errorf("exec in %s: %q", pod, out)
		}
	}
	pod := c.names(t, "pods", "app=web")[0]
	if out, err := c.try("exec", pod, "-c", "web", "--", "sh", "-c", "exit 7"); err == nil || !strings.Contains(out, "exit code 7") {
		t.Errorf("exec does not hand on the exit code: %v %s", err, out)
	}
	follow(t, c, pod)
	file := filepath.Join(t.TempDir(), "there")
	c.kubectl(t, "cp", "-c", "web", pod+":/www/password", file)
	if back, err := os.ReadFile(file); err != nil || string(back) != "open-sesame" {
		t.Errorf("cp: %q %v", back, err)
	}
	forward(t, c)
	terminal(t, c, pod)
	otherWays(t, c, pod)
}

// terminal talks to a shell as a person does, on a terminal of its own.
func terminal(t *testing.T, c *cluster, pod string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	shell := c.command(ctx, "exec", "-it", pod, "-c", "web", "--", "sh")
	cmd := exec.CommandContext(ctx, "script", "-qec", strings.Join(shell.Args, " "), "/dev/null")
	cmd.Env = shell.Env
	cmd.Stdin = strings.NewReader("test -t 0 && echo on-a-$((1))-terminal\nstty size\nexit 3\n")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() == 0 {
		t.Errorf("exec -it does not hand on the exit code: %v", err)
	}
	if !strings.Contains(string(out), "on-a-1-terminal") {
		t.Errorf("exec -it: %v\n%s", err, out)
	}
}

// otherWays goes into a Pod by the protocols that older and other clients speak, and with the kubectl of this machine, if it has one.
func otherWays(t *testing.T, c *cluster, pod string) {
	names := []string{c.septet + " kubectl"}
	if own, err := exec.LookPath("kubectl"); err == nil {
		names = append(names, own)
	}
	for _, name := range names {
		for _, sockets := range []string{"true", "false"} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			words := append(strings.Fields(name), "exec", "-i", pod, "-c", "web", "--", "cat")
			cmd := exec.CommandContext(ctx, words[0], words[1:]...)
			cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS="+sockets, "KUBECTL_PORT_FORWARD_WEBSOCKETS="+sockets)
			cmd.Stdin = strings.NewReader("there and back")
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil || string(out) != "there and back" {
				t.Errorf("%s, WebSockets %s: %v %q", name, sockets, err, out)
			}
		}
	}
}

// follow reads a log while it is written.
func follow(t *testing.T, c *cluster, pod string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := c.command(ctx, "logs", "-f", "-c", "web", pod)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := c.kubectl(t, "get", "pod", pod, "-o", "jsonpath={.status.podIP}")
	if _, err := c.fetch(pod, "http://"+address+":8080/followed"); err == nil {
		t.Error("a page that is not there was served")
	}
	buffer := make([]byte, 4096)
	text := ""
	for !strings.Contains(text, "response:404") {
		n, err := out.Read(buffer)
		text += string(buffer[:n])
		if err != nil {
			t.Fatalf("logs -f ended: %v\n%s", err, text)
		}
	}
	cancel()
	_ = cmd.Wait() // it was killed
}

func forward(t *testing.T, c *cluster) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := c.command(ctx, "port-forward", "service/web", fmt.Sprintf("%d:80", port))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.eventually(t, "port-forward answers", func() error {
		page, err := get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err == nil && !strings.Contains(page, "hello") {
			err = fmt.Errorf("%q", page)
		}
		return err
	})
	cancel()
	_ = cmd.Wait() // it was killed
}

func jobs(t *testing.T, c *cluster) {
	c.kubectl(t, "wait", "--for=condition=complete", "job/once", "--timeout=60s")
	if out := c.kubectl(t, "logs", "job/once"); !strings.Contains(out, "done") {
		t.Errorf("the job's log: %q", out)
	}
	c.kubectl(t, "create", "job", "--from=cronjob/tick", "tick-now")
	c.kubectl(t, "wait", "--for=condition=complete", "job/tick-now", "--timeout=60s")
}

func data(t *testing.T, c *cluster) {
	c.kubectl(t, "delete", "pod", "db-0")
	c.kubectl(t, "rollout", "status", "statefulset/db", "--timeout=60s")
	c.expect(t, "db-0\ndb-0", "exec", "db-0", "--", "cat", "/data/starts")
	pod := c.names(t, "pods", "app=web")[0]
	if page, err := c.fetch(pod, "http://db-0.db:8080/starts"); err != nil || page != "db-0\ndb-0" {
		t.Errorf("by its own name: %v %q", err, page)
	}
}

func limits(t *testing.T, c *cluster) {
	c.apply(t, `
apiVersion: v1
kind: Pod
metadata: {name: hog}
spec:
  restartPolicy: Never
  containers: [{name: hog, image: "septet.test/busybox:1", imagePullPolicy: Never, command: [tail, /dev/zero], resources: {limits: {memory: 20Mi}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: huge}
spec:
  containers: [{name: huge, image: "septet.test/busybox:1", resources: {requests: {cpu: "1000"}}}]
`)
	c.expect(t, "OOMKilled", "get", "pod", "hog", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.reason}")
	c.eventually(t, "the Pod that fits nowhere says why", func() error {
		message := c.kubectl(t, "get", "pod", "huge", "-o", `jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}`)
		if !strings.Contains(message, "0/2 nodes are available: 2 Insufficient cpu.") {
			return fmt.Errorf("%q", message)
		}
		return nil
	})
	c.kubectl(t, "delete", "pod", "hog", "huge", "--now")
}

// update changes the Pods' template and back again while clients ask all the time.
func update(t *testing.T, c *cluster) {
	url := "http://" + c.kubectl(t, "get", "service", "web-balanced", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}") + "/"
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int64
	var failures sync.Map
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				asked.Add(1)
				if _, err := get(url); err != nil {
					failures.Store(err.Error(), time.Now())
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	c.kubectl(t, "set", "env", "deployment/web", "VERSION=2")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=120s")
	c.kubectl(t, "rollout", "undo", "deployment/web")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=120s")
	c.kubectl(t, "scale", "deployment/web", "--replicas=4")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	cancel()
	clients.Wait()
	failures.Range(func(err, at any) bool {
		t.Errorf("a request failed at %v: %v", at, err)
		return true
	})
	if asked.Load() < 100 {
		t.Errorf("only %d requests were made", asked.Load())
	}
}

func drain(t *testing.T, c *cluster) {
	nodes := strings.Fields(c.kubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"))
	c.kubectl(t, "drain", nodes[1], "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=90s")
	c.expect(t, "", "get", "pods", "-l", "app=web", "--field-selector", "spec.nodeName="+nodes[1], "-o", "name")
	c.kubectl(t, "uncordon", nodes[1])
	c.kubectl(t, "rollout", "restart", "deployment/web") // so that its Pods spread again
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=90s")
	c.eventually(t, "the Pods from before are gone", func() error {
		if pods := c.names(t, "pods", "app=web"); len(pods) != 4 {
			return fmt.Errorf("there are %s", pods)
		}
		return nil
	})
}

// starts says of each web Pod when its container started: the same before and after, or something was disturbed.
func starts(t *testing.T, c *cluster) string {
	return c.kubectl(t, "get", "pods", "-l", "app=web", "-o",
		`jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{"\n"}{end}`)
}

func killServer(t *testing.T, c *cluster) {
	before := starts(t, c)
	c.kubectl(t, "create", "configmap", "last-words", "--from-literal=said=yes")
	kill(t, c.pid(t))
	c.serve(t, 2)
	if said := c.kubectl(t, "get", "configmap", "last-words", "-o", "jsonpath={.data.said}"); said != "yes" {
		t.Error("what was acknowledged is lost")
	}
	if after := starts(t, c); after != before {
		t.Errorf("containers were disturbed:\n%s\n%s", before, after)
	}
	c.kubectl(t, "delete", "configmap", "last-words")
	reach(t, c)
}

func killRuntime(t *testing.T, c *cluster) {
	before := starts(t, c)
	pids, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, file := range pids {
		line, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(line), "septet-containerd\x00") || !strings.Contains(string(line), c.data+"/") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err != nil {
			t.Fatal(err)
		}
		kill(t, pid)
		killed++
	}
	if killed != 2 {
		t.Errorf("%d container runtimes were killed, there are 2", killed)
	}
	pod := c.names(t, "pods", "app=web")[0]
	c.eventually(t, "exec works again", func() error {
		_, err := c.try("exec", pod, "-c", "web", "--", "true")
		return err
	})
	if after := starts(t, c); after != before {
		t.Errorf("containers were disturbed:\n%s\n%s", before, after)
	}
	c.kubectl(t, "run", "after", "--image=septet.test/busybox:1", "--image-pull-policy=Never", "--restart=Never", "--", "true")
	c.expect(t, "Succeeded", "get", "pod", "after", "-o", "jsonpath={.status.phase}")
	c.kubectl(t, "delete", "pod", "after")
}

func journey(t *testing.T, c *cluster) {
	c.kubectl(t, "create", "deployment", "late", "--image=septet.test/busybox:1", "--", "sleep", "1000")
	c.kubectl(t, "patch", "deployment", "late", "-p", `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"busybox","imagePullPolicy":"Never"}]}}}}`)
	c.kubectl(t, "rollout", "status", "deployment/late", "--timeout=60s")
	told := c.run(t, "journey", "deployment/late", "--data-dir", c.data)
	for _, component := range []string{"apiserver", "controllers", "scheduler", "kubelet"} {
		if !strings.Contains(told, component) {
			t.Errorf("the journey does not come by the %s:\n%s", component, told)
		}
	}
	for _, line := range strings.Split(told, "\n") {
		if len([]rune(line)) > 100 {
			t.Errorf("wider than 100 columns: %s", line)
		}
	}
	c.kubectl(t, "delete", "deployment", "late")
}

func deleteAll(t *testing.T, c *cluster) {
	c.eventually(t, "the CronJob has run by its schedule", func() error {
		if last := c.kubectl(t, "get", "cronjob", "tick", "-o", "jsonpath={.status.lastSuccessfulTime}"); last == "" {
			return errors.New("it never succeeded")
		}
		return nil
	})
	c.kubectl(t, "delete", "-f", filepath.Join("testdata", "application.yaml"), "--timeout=90s")
	c.kubectl(t, "delete", "pvc", "--all", "--timeout=60s")
	c.kubectl(t, "delete", "jobs", "--all", "--timeout=60s")
	for _, kind := range []string{"pods", "replicasets", "endpointslices -l kubernetes.io/service-name!=kubernetes", "persistentvolumes"} {
		c.expect(t, "", append(append([]string{"get"}, strings.Fields(kind)...), "-o", "name")...)
	}
}
