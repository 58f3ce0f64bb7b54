package csi

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Node is the node service of one driver.
type Node struct{ conn *grpc.ClientConn }

// callTimeout bounds each call; drivers may have to format a disk.
const callTimeout = 2 * time.Minute

// Dial connects to a driver's socket, lazily.
func Dial(socket string) (*Node, error) {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{})))
	if err != nil {
		return nil, err
	}
	return &Node{conn: conn}, nil
}

// Close ends the connection.
func (n *Node) Close() error { return n.conn.Close() }

func (n *Node) call(ctx context.Context, method string, request message) ([]field, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var response message
	if err := n.conn.Invoke(ctx, "/csi.v1.Node/"+method, &request, &response); err != nil {
		return nil, err
	}
	return response.fields()
}

// Info is what a driver says of this node.
type Info struct {
	NodeID     string
	MaxVolumes int64 // 0: no limit
	// Topology are the segments that the node is in, by key.
	Topology map[string]string
}

// Info asks how the driver knows this node.
func (n *Node) Info(ctx context.Context) (Info, error) {
	var info Info
	list, err := n.call(ctx, "NodeGetInfo", nil)
	for _, f := range list {
		switch f.number {
		case 1:
			info.NodeID = string(f.bytes)
		case 2:
			info.MaxVolumes = int64(f.value)
		case 3:
			if info.Topology, err = segments(f.bytes); err != nil {
				return info, err
			}
		}
	}
	return info, err
}

// segments reads a Topology.
func segments(m message) (map[string]string, error) {
	found := map[string]string{}
	list, err := m.fields()
	for _, f := range list {
		pair, err := f.bytes.fields()
		if err != nil {
			return nil, err
		}
		var key, value string
		for _, side := range pair {
			if side.number == 1 {
				key = string(side.bytes)
			} else {
				value = string(side.bytes)
			}
		}
		found[key] = value
	}
	return found, err
}

// Capabilities of a node service, as csi.proto numbers them.
const (
	StageUnstage = 1
	MountGroup   = 6
)

// Capabilities asks what the driver can do on nodes.
func (n *Node) Capabilities(ctx context.Context) (map[uint64]bool, error) {
	can := map[uint64]bool{}
	list, err := n.call(ctx, "NodeGetCapabilities", nil)
	for _, capability := range list {
		inner, err := capability.bytes.fields()
		if err != nil {
			return nil, err
		}
		for _, rpc := range inner {
			kinds, err := rpc.bytes.fields()
			if err != nil {
				return nil, err
			}
			for _, kind := range kinds {
				can[kind.value] = true
			}
		}
	}
	return can, err
}

// Volume is a request to stage or publish a volume.
type Volume struct {
	ID string
	// PublishContext comes from the attaching, Context from the volume, Secrets from what its source names.
	PublishContext, Context, Secrets map[string]string
	// Staging is where it is made ready once for the node, Target where one Pod gets it.
	Staging, Target string
	FSType          string
	MountFlags      []string
	// Group is given to drivers that set the owner themselves.
	Group      string
	AccessMode uint64
	ReadOnly   bool
}

// capability is the VolumeCapability of a mounted file system.
func (v *Volume) capability() message {
	mount := message{}.text(1, v.FSType)
	for _, flag := range v.MountFlags {
		mount = mount.text(2, flag)
	}
	mount = mount.text(3, v.Group)
	return message{}.nest(2, mount).nest(3, message{}.number(1, v.AccessMode))
}

// Stage makes a volume ready on the node.
func (n *Node) Stage(ctx context.Context, v *Volume) error {
	_, err := n.call(ctx, "NodeStageVolume", message{}.text(1, v.ID).table(2, v.PublishContext).text(3, v.Staging).
		nest(4, v.capability()).table(5, v.Secrets).table(6, v.Context))
	return err
}

// Publish mounts a volume for a Pod.
func (n *Node) Publish(ctx context.Context, v *Volume) error {
	readOnly := uint64(0)
	if v.ReadOnly {
		readOnly = 1
	}
	_, err := n.call(ctx, "NodePublishVolume", message{}.text(1, v.ID).table(2, v.PublishContext).text(3, v.Staging).text(4, v.Target).
		nest(5, v.capability()).number(6, readOnly).table(7, v.Secrets).table(8, v.Context))
	return err
}

// Unpublish undoes Publish.
func (n *Node) Unpublish(ctx context.Context, id, target string) error {
	_, err := n.call(ctx, "NodeUnpublishVolume", message{}.text(1, id).text(2, target))
	return err
}

// Unstage undoes Stage.
func (n *Node) Unstage(ctx context.Context, id, staging string) error {
	_, err := n.call(ctx, "NodeUnstageVolume", message{}.text(1, id).text(2, staging))
	return err
}
