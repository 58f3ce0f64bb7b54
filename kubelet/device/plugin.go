package device

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// plugin is one that has registered a resource.
type plugin struct {
	resource string
	options  *deviceplugin.DevicePluginOptions
	conn     *grpc.ClientConn
	client   deviceplugin.DevicePluginClient

	// Guarded by Devices.mu: devices by ID, and whether the plugin has ended; they then count as unhealthy.
	devices map[string]*deviceplugin.Device
	ended   bool
}

// registrar is the service that plugins call.
type registrar struct {
	deviceplugin.UnimplementedRegistrationServer
	devices *Devices
	ctx     context.Context // of Run
}

// Register is a plugin's announcement of a resource and of the socket where it serves it.
func (r *registrar) Register(_ context.Context, request *deviceplugin.RegisterRequest) (*deviceplugin.Empty, error) {
	if request.Version != deviceplugin.Version {
		return nil, fmt.Errorf("requested API version %q is not supported by kubelet. Supported version is %q", request.Version, deviceplugin.Version)
	}
	if !Extended(request.ResourceName) {
		return nil, fmt.Errorf("the ResourceName %q is invalid", request.ResourceName)
	}
	if request.Endpoint == "" || strings.Contains(request.Endpoint, "/") {
		return nil, fmt.Errorf("the endpoint %q is not the name of a socket", request.Endpoint)
	}
	if err := r.devices.attach(r.ctx, request.ResourceName, filepath.Join(r.devices.config.Dir, request.Endpoint), request.Options); err != nil {
		return nil, err
	}
	return &deviceplugin.Empty{}, nil
}

// Extended says whether a name can be that of an extended resource: with a domain that is not Kubernetes' own.
func Extended(name string) bool {
	domain, _, qualified := strings.Cut(name, "/")
	if !qualified || domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io") || strings.HasPrefix(name, "requests.") {
		return false
	}
	return len(validation.IsQualifiedName("requests."+name)) == 0
}

// attach takes a plugin into use in place of an earlier one, and follows what it has.
func (d *Devices) attach(ctx context.Context, resource, socket string, options *deviceplugin.DevicePluginOptions) error {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	if options == nil {
		options = &deviceplugin.DevicePluginOptions{}
	}
	next := &plugin{resource: resource, options: options, conn: conn, client: deviceplugin.NewDevicePluginClient(conn), devices: map[string]*deviceplugin.Device{}}
	d.mu.Lock()
	old := d.plugins[resource]
	d.plugins[resource] = next
	if old != nil {
		next.devices = old.devices
	} else {
		d.remember()
	}
	d.mu.Unlock()
	if old != nil && old.conn != nil {
		if err := old.conn.Close(); err != nil {
			return err
		}
	}
	go d.follow(ctx, next)
	return nil
}

// follow takes a plugin's list of devices each time that it changes, until the plugin ends.
func (d *Devices) follow(ctx context.Context, p *plugin) {
	err := d.stream(ctx, p)
	if ctx.Err() != nil {
		return
	}
	d.mu.Lock()
	current := d.plugins[p.resource] == p
	if current {
		// The devices stay the node's, so that those who have them keep them; nobody is given any.
		for id, device := range p.devices {
			p.devices[id] = &deviceplugin.Device{ID: id, Health: deviceplugin.Unhealthy, Topology: device.Topology}
		}
		p.ended = true
	}
	d.mu.Unlock()
	if current {
		klog.FromContext(ctx).V(2).Info("Device plugin has ended", "resource", p.resource, "err", err)
		d.config.Changed()
	}
}

func (d *Devices) stream(ctx context.Context, p *plugin) error {
	stream, err := p.client.ListAndWatch(ctx, &deviceplugin.Empty{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for {
		list, err := stream.Recv()
		if err != nil {
			return err
		}
		devices := make(map[string]*deviceplugin.Device, len(list.Devices))
		for _, device := range list.Devices {
			devices[device.ID] = device
		}
		d.mu.Lock()
		p.devices = devices
		d.mu.Unlock()
		d.config.Changed()
	}
}
