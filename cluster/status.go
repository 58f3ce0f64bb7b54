package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
)

// componentStatus is a line of `septet status`.
type componentStatus struct {
	Component string `json:"component"`
	Healthy   bool   `json:"healthy"`
	// Detail says where it is and which version, or why it is not healthy.
	Detail string `json:"detail"`
}

// StatusCommand is `septet status`.
func StatusCommand() *cobra.Command {
	dataDir, output := "", ""
	cmd := daemon.Quiet(&cobra.Command{Use: "status", Short: "Say of each component whether it is healthy, or why not", Args: cobra.NoArgs})
	cmd.Flags().StringVar(&dataDir, "data-dir", DefaultDataDir, "directory of all state of the server")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for programs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
		defer cancel()
		all, err := status(ctx, paths{data: dataDir})
		if err != nil {
			return err
		}
		return printStatus(cmd.OutOrStdout(), all, output)
	}
	return cmd
}

func printStatus(w io.Writer, all []componentStatus, output string) error {
	switch output {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	case "":
	default:
		return daemon.UsageError("--output=%s: must be json", output)
	}
	for _, c := range all {
		word := "healthy"
		if !c.Healthy {
			word = "NOT OK"
		}
		fmt.Fprintf(w, "%-26s %-8s %s\n", c.Component, word, c.Detail)
	}
	return nil
}

// status asks the API server about itself and what others keep in it: leases tell of the components that elect a leader.
func status(ctx context.Context, p paths) ([]componentStatus, error) {
	pid, err := runningPID(p)
	if err != nil {
		return nil, err
	}
	process := componentStatus{Component: "process", Detail: "no server runs with " + p.data}
	if pid != 0 {
		process = componentStatus{"process", true, fmt.Sprintf("pid %d, septet %s, %s resident", pid, daemon.SeptetVersion, resident(pid))}
	}
	all := []componentStatus{process}
	set, err := client.FromKubeconfig(p.admin(), "", daemon.UserAgent("septet-status"))
	if err != nil {
		return append(all, componentStatus{"kube-apiserver", false, err.Error()}), nil
	}
	server, ok := apiServerStatus(ctx, set)
	all = append(all, server...)
	if !ok {
		return all, nil
	}
	for _, name := range []string{"kube-scheduler", "kube-controller-manager", "cloud-controller-manager"} {
		all = append(all, leaseStatus(ctx, set, name))
	}
	nodes, err := set.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return append(all, componentStatus{"kubelet", false, err.Error()}), nil
	}
	sort.Slice(nodes.Items, func(i, j int) bool { return nodes.Items[i].Name < nodes.Items[j].Name })
	for i := range nodes.Items {
		all = append(all, nodeStatus(&nodes.Items[i]), proxyStatus(ctx, &nodes.Items[i]))
	}
	return all, nil
}

// apiServerStatus covers etcd too, which answers only the API server.
func apiServerStatus(ctx context.Context, set *client.Set) ([]componentStatus, bool) {
	raw := func(path string) ([]byte, error) { return set.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(ctx) }
	body, err := raw("/version")
	if err != nil {
		return []componentStatus{{"kube-apiserver", false, err.Error()}}, false
	}
	var v version.Info
	if err := json.Unmarshal(body, &v); err != nil {
		return []componentStatus{{"kube-apiserver", false, err.Error()}}, false
	}
	server := componentStatus{"kube-apiserver", true, set.Config.Host + ", " + v.GitVersion}
	if _, err := raw("/readyz"); err != nil {
		server.Healthy, server.Detail = false, err.Error()
	}
	store := componentStatus{"etcd", true, "in the API server's process or behind it"}
	if _, err := raw("/readyz/etcd"); err != nil {
		store.Healthy, store.Detail = false, err.Error()
	}
	return []componentStatus{server, store}, true
}

func leaseStatus(ctx context.Context, set *client.Set, name string) componentStatus {
	lease, err := set.CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return componentStatus{name, false, err.Error()}
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || lease.Spec.RenewTime == nil {
		return componentStatus{name, false, "nobody leads"}
	}
	age := time.Since(lease.Spec.RenewTime.Time).Round(time.Second)
	alive := lease.Spec.LeaseDurationSeconds != nil && age <= time.Duration(*lease.Spec.LeaseDurationSeconds)*time.Second
	return componentStatus{name, alive, fmt.Sprintf("led by %s, last heard of %s ago", *lease.Spec.HolderIdentity, age)}
}

// addressOf is a node's internal address; empty if it has said none yet.
func addressOf(node *corev1.Node) string {
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}

// proxyStatus asks a node's kube-proxy itself: it keeps nothing in the API.
func proxyStatus(ctx context.Context, node *corev1.Node) componentStatus {
	address := net.JoinHostPort(addressOf(node), proxyHealthPort)
	s := componentStatus{Component: "kube-proxy " + node.Name, Detail: address}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/livez", nil)
	if err != nil {
		s.Detail = err.Error()
		return s
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Detail = err.Error()
		return s
	}
	defer response.Body.Close()
	if s.Healthy = response.StatusCode == http.StatusOK; !s.Healthy {
		s.Detail = fmt.Sprintf("%s says %s", address, response.Status)
	}
	return s
}

// proxyHealthPort is kube-proxy's --healthz-bind-address.
const proxyHealthPort = "10256"

func nodeStatus(node *corev1.Node) componentStatus {
	s := componentStatus{Component: "kubelet " + node.Name, Detail: fmt.Sprintf("%s, %s, %s", addressOf(node), node.Status.NodeInfo.KubeletVersion, node.Status.NodeInfo.ContainerRuntimeVersion)}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			s.Healthy = condition.Status == corev1.ConditionTrue
			if !s.Healthy {
				s.Detail = condition.Message
			}
		}
	}
	return s
}

// resident is a process's memory as the kernel counts it.
func resident(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown memory"
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err == nil {
				return fmt.Sprintf("%d MB", kb/1024)
			}
		}
	}
	return "unknown memory"
}
