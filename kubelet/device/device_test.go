package device

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

const gpu = "example.com/gpu"

// gpus is a device plugin; what it offers is sent on lists.
type gpus struct {
	deviceplugin.UnimplementedDevicePluginServer
	lists chan []*deviceplugin.Device
}

func (g *gpus) ListAndWatch(_ *deviceplugin.Empty, stream deviceplugin.DevicePlugin_ListAndWatchServer) error {
	for {
		select {
		case list := <-g.lists:
			if err := stream.Send(&deviceplugin.ListAndWatchResponse{Devices: list}); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (g *gpus) Allocate(_ context.Context, request *deviceplugin.AllocateRequest) (*deviceplugin.AllocateResponse, error) {
	ids := request.ContainerRequests[0].DevicesIds
	response := &deviceplugin.ContainerAllocateResponse{Envs: map[string]string{"GPUS": strings.Join(ids, ",")}}
	for _, id := range ids {
		response.Devices = append(response.Devices, &deviceplugin.DeviceSpec{HostPath: "/dev/" + id, ContainerPath: "/dev/" + id, Permissions: "rw"})
	}
	return &deviceplugin.AllocateResponse{ContainerResponses: []*deviceplugin.ContainerAllocateResponse{response}}, nil
}

func (g *gpus) GetPreferredAllocation(_ context.Context, request *deviceplugin.PreferredAllocationRequest) (*deviceplugin.PreferredAllocationResponse, error) {
	r := request.ContainerRequests[0]
	ids := append([]string(nil), r.MustIncludeDeviceIDs...)
	for i := len(r.AvailableDeviceIDs) - 1; len(ids) < int(r.AllocationSize); i-- { // the last ones first
		ids = append(ids, r.AvailableDeviceIDs[i])
	}
	return &deviceplugin.PreferredAllocationResponse{ContainerResponses: []*deviceplugin.ContainerPreferredAllocationResponse{{DeviceIDs: ids}}}, nil
}

// node is the agent's side, on sockets in a directory with a short name.
type node struct {
	*Devices
	t       *testing.T
	changed chan struct{}
	pods    []*corev1.Pod
}

func newNode(t *testing.T) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "dev")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	n := &node{t: t, changed: make(chan struct{}, 100)}
	config := Config{
		Dir: filepath.Join(dir, "p"), PodResourcesDir: filepath.Join(dir, "r"),
		Changed: func() { n.changed <- struct{}{} }, Pods: func() []*corev1.Pod { return n.pods },
	}
	if n.Devices, err = New(config); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for _, path := range []string{config.Dir, config.PodResourcesDir} {
		for {
			if _, err := os.Stat(filepath.Join(path, socketName)); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	return n
}

func dial(t *testing.T, socket string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// register starts a plugin and announces it.
func (n *node) register(options *deviceplugin.DevicePluginOptions) (*gpus, *grpc.Server) {
	n.t.Helper()
	g := &gpus{lists: make(chan []*deviceplugin.Device)}
	socket := filepath.Join(n.config.Dir, "gpu.sock")
	if err := os.RemoveAll(socket); err != nil {
		n.t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		n.t.Fatal(err)
	}
	server := grpc.NewServer()
	deviceplugin.RegisterDevicePluginServer(server, g)
	go server.Serve(listener)
	n.t.Cleanup(server.Stop)
	client := deviceplugin.NewRegistrationClient(dial(n.t, filepath.Join(n.config.Dir, socketName)))
	if _, err := client.Register(n.t.Context(), &deviceplugin.RegisterRequest{Version: "v1beta1", Endpoint: "gpu.sock", ResourceName: gpu, Options: options}); err != nil {
		n.t.Fatal(err)
	}
	return g, server
}

func healthy(ids ...string) []*deviceplugin.Device {
	var list []*deviceplugin.Device
	for _, id := range ids {
		list = append(list, &deviceplugin.Device{ID: id, Health: deviceplugin.Healthy})
	}
	return list
}

func (n *node) counts() string {
	capacity, allocatable := n.Resources()
	all, good := capacity[gpu], allocatable[gpu]
	return good.String() + " of " + all.String()
}

func pod(uid string, gpus string, init ...corev1.Container) *corev1.Pod {
	limits := corev1.ResourceList{gpu: resource.MustParse(gpus), "cpu": resource.MustParse("1")}
	for i := range init {
		init[i].Resources.Limits = limits
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: uid, UID: types.UID(uid)}, Spec: corev1.PodSpec{
		InitContainers: init, Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Limits: limits}}},
	}}
}

func (n *node) allocate(p *corev1.Pod, c *corev1.Container) string {
	n.t.Helper()
	allocation, err := n.Allocate(n.t.Context(), p, c)
	if err != nil {
		return err.Error()
	}
	return allocation.Env["GPUS"]
}

func TestLifeOfDevices(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	g, server := n.register(nil)
	g.lists <- append(healthy("a", "b", "c"), &deviceplugin.Device{ID: "d", Health: deviceplugin.Unhealthy})
	<-n.changed
	if got := n.counts(); got != "3 of 4" {
		t.Errorf("devices: %s", got)
	}
	first, second := pod("first", "2"), pod("second", "2")
	n.pods = []*corev1.Pod{first, second}
	if got := n.allocate(first, &first.Spec.Containers[0]); got != "a,b" {
		t.Errorf("first got %s", got)
	}
	if got := n.allocate(first, &first.Spec.Containers[0]); got != "a,b" {
		t.Errorf("restarted, first got %s", got)
	}
	if got := n.allocate(second, &second.Spec.Containers[0]); got != "requested number of devices unavailable for example.com/gpu. Requested: 2, Available: 1" {
		t.Errorf("second got %s", got)
	}
	// Somebody asks who has what.
	client := podresources.NewPodResourcesListerClient(dial(t, filepath.Join(n.config.PodResourcesDir, socketName)))
	list, err := client.List(t.Context(), &podresources.ListPodResourcesRequest{})
	if err != nil || len(list.PodResources) != 2 || len(list.PodResources[0].Containers[0].Devices) != 2 {
		t.Errorf("list is %v, %v", list, err)
	}
	if all, err := client.GetAllocatableResources(t.Context(), &podresources.AllocatableResourcesRequest{}); err != nil || len(all.Devices) != 3 {
		t.Errorf("allocatable are %v, %v", all, err)
	}
	if one, err := client.Get(t.Context(), &podresources.GetPodResourcesRequest{PodNamespace: "ns", PodName: "first"}); err != nil || one.PodResources.Name != "first" {
		t.Errorf("got %v, %v", one, err)
	}
	// An agent that is started anew remembers.
	again, err := New(n.config)
	if err != nil {
		t.Fatal(err)
	}
	if g := again.given[owner{"first", "c"}][gpu]; g == nil || strings.Join(g.IDs, "") != "ab" || g.Response.Envs["GPUS"] != "a,b" {
		t.Errorf("remembered is %+v", g)
	}
	if capacity, usable := again.Resources(); capacity[gpu] != usable[gpu] || len(capacity) != 1 {
		t.Errorf("before its plugin is back it has %v, of which %v", capacity, usable)
	}
	n.Release("first")
	if got := n.allocate(second, &second.Spec.Containers[0]); got != "a,b" {
		t.Errorf("second got %s", got)
	}
	server.Stop()
	<-n.changed
	if got := n.counts(); got != "0 of 4" {
		t.Errorf("after the plugin's end: %s", got)
	}
	g, _ = n.register(nil)
	g.lists <- healthy("a", "b", "c", "d")
	<-n.changed
	if got := n.counts(); got != "4 of 4" {
		t.Errorf("after its return: %s", got)
	}
}

func TestInitContainersPassDevicesOn(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	g, _ := n.register(&deviceplugin.DevicePluginOptions{GetPreferredAllocationAvailable: true})
	g.lists <- healthy("a", "b", "c")
	<-n.changed
	always := corev1.ContainerRestartPolicyAlways
	p := pod("p", "1", corev1.Container{Name: "init"}, corev1.Container{Name: "sidecar", RestartPolicy: &always})
	n.pods = []*corev1.Pod{p}
	if got := n.allocate(p, &p.Spec.InitContainers[0]); got != "c" {
		t.Errorf("init got %s, not what the plugin prefers", got)
	}
	if got := n.allocate(p, &p.Spec.InitContainers[1]); got != "c" {
		t.Errorf("sidecar got %s, not what init left", got)
	}
	if got := n.allocate(p, &p.Spec.Containers[0]); got != "b" {
		t.Errorf("container got %s, though the sidecar runs on", got)
	}
}

func TestRegistrationIsChecked(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	client := deviceplugin.NewRegistrationClient(dial(t, filepath.Join(n.config.Dir, socketName)))
	for want, request := range map[string]*deviceplugin.RegisterRequest{
		"is not supported":       {Version: "v1alpha", Endpoint: "x.sock", ResourceName: gpu},
		`"cpu" is invalid`:       {Version: "v1beta1", Endpoint: "x.sock", ResourceName: "cpu"},
		"not the name of a sock": {Version: "v1beta1", Endpoint: "../x.sock", ResourceName: gpu},
	} {
		if _, err := client.Register(t.Context(), request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", request, err, want)
		}
	}
}
