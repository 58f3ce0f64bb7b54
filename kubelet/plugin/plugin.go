// Package plugin finds node plugins, such as CSI and device drivers, that put a socket into the node agent's plugins_registry directory, and
// registers them (the pluginregistration/v1 protocol of KEP-595).
package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/klog/v2"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// Handler takes in plugins of one type.
type Handler interface {
	// Register takes a plugin into use. The error is told to the plugin, which then usually ends.
	Register(ctx context.Context, name, endpoint string, versions []string) error
	// Deregister ends its use: its socket is gone.
	Deregister(ctx context.Context, name, endpoint string)
}

// Watcher keeps the plugins of one directory registered.
type Watcher struct {
	// Dir is where sockets appear, <root>/plugins_registry; it is made if it is missing.
	Dir string
	// Handlers by the type that plugins give, for example "CSIPlugin".
	Handlers map[string]Handler

	known map[string]*registered // by socket path; only the goroutine of Run touches it
}

type registered struct {
	handler        Handler
	name, endpoint string
}

// askTimeout bounds each question to a plugin; retries says how often one that does not answer yet is asked.
const (
	askTimeout = 10 * time.Second
	retries    = 5
)

// Run watches until ctx ends. Sockets that are there already are registered first.
func (w *Watcher) Run(ctx context.Context) error {
	if err := os.MkdirAll(w.Dir, 0o750); err != nil {
		return err
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("plugins: %w", err)
	}
	defer notify.Close()
	w.known = map[string]*registered{}
	if err := w.addTree(ctx, notify, w.Dir); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-notify.Errors:
			klog.FromContext(ctx).Error(err, "Plugins may have come or gone unseen")
		case event := <-notify.Events:
			w.handle(ctx, notify, event)
		}
	}
}

func (w *Watcher) handle(ctx context.Context, notify *fsnotify.Watcher, event fsnotify.Event) {
	switch {
	case event.Has(fsnotify.Create):
		if err := w.addTree(ctx, notify, event.Name); err != nil {
			klog.FromContext(ctx).Error(err, "Plugin could not be looked at", "path", event.Name)
		}
	case event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename):
		if plugin := w.known[event.Name]; plugin != nil {
			delete(w.known, event.Name)
			plugin.handler.Deregister(ctx, plugin.name, plugin.endpoint)
		}
	}
}

// addTree watches directories and registers sockets at and below path.
func (w *Watcher) addTree(ctx context.Context, notify *fsnotify.Watcher, path string) error {
	return filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && strings.HasPrefix(entry.Name(), "."):
			return nil
		case err != nil:
			return err
		case entry.IsDir():
			return notify.Add(at)
		case entry.Type()&fs.ModeSocket == 0:
			return nil
		}
		if err := w.register(ctx, at); err != nil {
			klog.FromContext(ctx).Error(err, "Plugin could not be registered", "socket", at)
		}
		return nil
	})
}

// register asks the plugin behind a socket what it is, and hands it to whom it concerns.
func (w *Watcher) register(ctx context.Context, socket string) error {
	conn, err := Dial(socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := registration.NewRegistrationClient(conn)
	info, err := ask(ctx, client)
	if err != nil {
		return fmt.Errorf("plugin at %s: %w", socket, err)
	}
	handler := w.Handlers[info.Type]
	if handler == nil {
		return w.tell(ctx, client, fmt.Errorf("no handler registered for plugin type: %s at socket %s", info.Type, socket))
	}
	endpoint := info.Endpoint
	if endpoint == "" {
		endpoint = socket
	}
	if err := handler.Register(ctx, info.Name, endpoint, info.SupportedVersions); err != nil {
		return errors.Join(err, w.tell(ctx, client, err))
	}
	w.known[socket] = &registered{handler: handler, name: info.Name, endpoint: endpoint}
	return w.tell(ctx, client, nil)
}

// ask waits for a plugin that has made its socket but does not serve it yet.
func ask(ctx context.Context, client registration.RegistrationClient) (*registration.PluginInfo, error) {
	var last error
	for range retries {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		info, err := client.GetInfo(asking, &registration.InfoRequest{}, grpc.WaitForReady(true))
		cancel()
		if err == nil || ctx.Err() != nil {
			return info, err
		}
		last = err
	}
	return nil, last
}

func (w *Watcher) tell(ctx context.Context, client registration.RegistrationClient, problem error) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status := &registration.RegistrationStatus{PluginRegistered: problem == nil}
	if problem != nil {
		status.Error = problem.Error()
	}
	_, err := client.NotifyRegistrationStatus(ctx, status)
	return err
}

// Dial connects to a plugin's socket, lazily: the error is about the address only.
func Dial(socket string) (*grpc.ClientConn, error) {
	return grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
}
