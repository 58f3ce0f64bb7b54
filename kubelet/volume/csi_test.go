package volume

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/kubelet/plugin"
	"github.com/septet-io/septet/kubelet/volume/csi"
	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

// driver is a CSI driver whose volumes are directories.
type driver struct {
	registration.UnimplementedRegistrationServer
	endpoint string
	disk     string
	told     chan *registration.RegistrationStatus

	mu    sync.Mutex
	calls []string
}

// raw passes messages as they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = slices.Clone(data); return nil }

// fieldsOf reads strings and messages of a message.
func fieldsOf(m []byte) map[protowire.Number][]string {
	found := map[protowire.Number][]string{}
	for len(m) > 0 {
		number, kind, n := protowire.ConsumeTag(m)
		m = m[n:]
		if kind != protowire.BytesType {
			m = m[protowire.ConsumeFieldValue(number, kind, m):]
			continue
		}
		value, n := protowire.ConsumeBytes(m)
		m, found[number] = m[n:], append(found[number], string(value))
	}
	return found
}

func nest(number protowire.Number, inner []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), inner)
}

func varint(number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), value)
}

// serve answers the calls of csi.v1.Node.
func (d *driver) serve(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	fields, answer := fieldsOf(request), []byte{}
	name := strings.TrimPrefix(method, "/csi.v1.Node/Node")
	note := name
	switch name {
	case "GetInfo":
		answer = slices.Concat(nest(1, []byte("node-in-storage")), varint(2, 16), nest(3, nest(1, slices.Concat(nest(1, []byte("rack")), nest(2, []byte("r1"))))))
	case "GetCapabilities":
		answer = nest(1, nest(1, varint(1, csi.StageUnstage)))
	case "StageVolume":
		note += " " + fields[1][0] + " secret:" + strings.Join(fields[5], "")
	case "PublishVolume":
		note += fmt.Sprintf(" %s context:%q", fields[1][0], fields[8])
		if err := os.MkdirAll(fields[4][0], 0o750); err != nil {
			return err
		}
		if err := mountpoint.Bind(d.disk, fields[4][0], false); err != nil {
			return err
		}
	case "UnpublishVolume":
		if err := mountpoint.Unmount(fields[2][0]); err != nil {
			return err
		}
	case "UnstageVolume":
	default:
		return status.Error(codes.Unimplemented, method)
	}
	d.mu.Lock()
	d.calls = append(d.calls, note)
	d.mu.Unlock()
	return stream.SendMsg(&answer)
}

func (d *driver) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{Type: csi.PluginType, Name: "disks.example.com", Endpoint: d.endpoint, SupportedVersions: []string{"1.0.0"}}, nil
}

func (d *driver) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	d.told <- status
	return &registration.RegistrationStatusResponse{}, nil
}

func (d *driver) since() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := strings.Join(d.calls, "; ")
	d.calls = nil
	return calls
}

// listen serves on a socket until the test ends.
func listen(t *testing.T, path string, server *grpc.Server) {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
}

// A driver puts its socket into the registry; from then on its volumes can be mounted, staged once for all Pods, and every trace goes with the last.
func TestCSI(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if _, err := n.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", UID: "n"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	n.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "key"}, Data: map[string][]byte{"k": []byte("v")}})
	n.config.CSI = &csi.Drivers{NodeName: "node-1", Client: n.client}
	sockets, err := os.MkdirTemp("", "csi") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	registry := filepath.Join(sockets, "registry")
	watcher := plugin.Watcher{Dir: registry, Handlers: map[string]plugin.Handler{csi.PluginType: n.config.CSI}}
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- watcher.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	})
	d := &driver{endpoint: filepath.Join(sockets, "csi.sock"), disk: t.TempDir(), told: make(chan *registration.RegistrationStatus, 1)}
	listen(t, d.endpoint, grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(d.serve)))
	for {
		if _, err := os.Stat(registry); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	registrar := grpc.NewServer()
	registration.RegisterRegistrationServer(registrar, d)
	listen(t, filepath.Join(registry, "disks-reg.sock"), registrar)
	if told := <-d.told; !told.PluginRegistered {
		t.Fatalf("the driver was told %q", told.Error)
	}
	known, err := n.client.StorageV1().CSINodes().Get(t.Context(), "node-1", metav1.GetOptions{})
	if err != nil || len(known.Spec.Drivers) != 1 || known.Spec.Drivers[0].NodeID != "node-in-storage" || *known.Spec.Drivers[0].Allocatable.Count != 16 {
		t.Errorf("CSINode is %+v, %v", known, err)
	}
	labelled, err := n.client.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{})
	if err != nil || labelled.Labels["rack"] != "r1" {
		t.Errorf("node has labels %v, %v", labelled.Labels, err)
	}
	if _, err := n.client.StorageV1().CSIDrivers().Create(t.Context(), &storagev1.CSIDriver{
		ObjectMeta: metav1.ObjectMeta{Name: "disks.example.com"}, Spec: storagev1.CSIDriverSpec{AttachRequired: ptr.To(true), PodInfoOnMount: ptr.To(true)},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	d.since()

	claim, pv := claimAndVolume("c", corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
		Driver: "disks.example.com", VolumeHandle: "vol-1", NodeStageSecretRef: &corev1.SecretReference{Namespace: "ns", Name: "key"},
	}})
	n.create(claim)
	n.create(pv)
	first, second := podWith(ofClaim("v", "c")), podWith(ofClaim("v", "c"))
	second.UID = "uid-2"
	attached := make(chan struct{})
	go func() {
		defer close(attached)
		if _, err := n.client.StorageV1().VolumeAttachments().Create(t.Context(), &storagev1.VolumeAttachment{
			ObjectMeta: metav1.ObjectMeta{Name: attachmentName("vol-1", "disks.example.com", "node-1")}, Status: storagev1.VolumeAttachmentStatus{Attached: true},
		}, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
	}()
	dir := n.mount(first)["v"].HostPath
	<-attached
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil || content(t, d.disk, "file") != "x" {
		t.Errorf("the volume is not the driver's (%v)", err)
	}
	calls := d.since()
	if !strings.HasPrefix(calls, "GetCapabilities; StageVolume vol-1 secret:\n\x01k\x12\x01v; PublishVolume vol-1") || !strings.Contains(calls, "csi.storage.k8s.io/pod.uid") {
		t.Errorf("the driver was called: %q", calls)
	}
	n.mount(second)
	d.since()
	if err := n.Unmount(t.Context(), first.UID); err != nil {
		t.Fatal(err)
	}
	if calls := d.since(); calls != "UnpublishVolume" {
		t.Errorf("for the first Pod's end the driver was called: %q", calls)
	}
	if err := n.Unmount(t.Context(), second.UID); err != nil {
		t.Fatal(err)
	}
	if calls := d.since(); calls != "UnpublishVolume; UnstageVolume" {
		t.Errorf("for the last Pod's end the driver was called: %q", calls)
	}
	if _, err := os.Stat(n.stagingDir("disks.example.com", "vol-1")); !os.IsNotExist(err) {
		t.Errorf("staging is left: %v", err)
	}
	registrar.Stop()
	eventuallyTrue(t, func() bool { _, err := n.config.CSI.Get("disks.example.com"); return err != nil })
}

func eventuallyTrue(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never happened")
		}
	}
}
