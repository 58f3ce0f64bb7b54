// Package containerd runs the container runtime that septet carries, one for each node, as a child process.
//
//	Start ── unpack programs, write the configuration
//	  ├─ one is running with this very configuration? adopt it
//	  └─ otherwise start it, and wait until it says that it is ready
//	supervise ── it ended? start it again, a little later each time it fails soon
//
// Pods belong to their shims, not to containerd: they survive its death, its replacement by another version, and the
// death of septet itself, which leaves containerd running for the next septet to adopt. Purge ends it all.
package containerd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/septet-io/septet/cluster/carried"
)

// PauseImage is the image of the container that holds a pod's namespaces. It is carried, and imported at the first start.
const PauseImage = "septet.io/pause:1"

// Config says where one node's runtime lives. The zero value of an optional field is its default.
type Config struct {
	// NodeName tells this node's runtime from others on the machine. Required.
	NodeName string
	// DataDir is septet's data directory. Required. Programs are unpacked below it, images and snapshots are kept below
	// it in containerd/<node>. It must not be on an overlay or network file system.
	DataDir string
	// StateDir holds sockets, mounts and what else ends with the machine's uptime. A socket's path may have 104 bytes, so
	// it may have 82. Default: /run/septet/<node>.
	StateDir string
	// CNIConfDir is where the network configuration is written by whoever makes the pod network. Default: <data of the
	// node>/cni/net.d.
	CNIConfDir string
	// CNIBinDirs are searched for network plugins after the carried one. Default: /opt/cni/bin and /usr/lib/cni.
	CNIBinDirs []string
	// RegistryDir has a folder for each registry with a hosts.toml (mirrors, certificates). Default: registries below
	// DataDir, which is made as a link to /etc/containerd/certs.d: containerd pulls by one folder only.
	RegistryDir string
	// CgroupParent is the cgroup below which the kubelet puts this node's pods. Purge removes it. Default: none, and
	// Purge leaves the cgroups of pods to containerd.
	CgroupParent string
	// NetNS is a network namespace to run in (a path such as /run/netns/node-1). Default: the caller's.
	NetNS string
	// LogLevel is containerd's: debug, info, warn or error. Default: warn.
	LogLevel string
}

// withDefaults checks a Config and fills it up.
func (c Config) withDefaults() (Config, error) {
	if c.NodeName == "" || strings.ContainsAny(c.NodeName, "/\x00") {
		return c, fmt.Errorf("containerd: NodeName %q: must be a file name", c.NodeName)
	}
	if !filepath.IsAbs(c.DataDir) {
		return c, fmt.Errorf("containerd: DataDir %q: must be an absolute path", c.DataDir)
	}
	if c.StateDir == "" {
		c.StateDir = filepath.Join("/run/septet", c.NodeName)
	}
	if c.CNIConfDir == "" {
		c.CNIConfDir = filepath.Join(c.root(), "cni", "net.d")
	}
	if c.CNIBinDirs == nil {
		c.CNIBinDirs = []string{"/opt/cni/bin", "/usr/lib/cni"}
	}
	if c.RegistryDir == "" {
		c.RegistryDir = filepath.Join(c.DataDir, "registries")
	}
	if c.LogLevel == "" {
		c.LogLevel = "warn"
	}
	if longest := len(c.socket() + ".ttrpc"); longest > maxSocketPath {
		return c, fmt.Errorf("containerd: StateDir %q: is %d bytes too long for socket paths", c.StateDir, longest-maxSocketPath)
	}
	return c, nil
}

// programs are what the runtime is made of, in the order in which it needs them; they are unpacked into one folder, where they find each other.
var programs = []string{carried.Containerd, carried.Shim, carried.Runc, carried.CNI}

// maxSocketPath is what every kernel takes for a unix socket's path, in bytes.
const maxSocketPath = 104

func (c Config) root() string   { return filepath.Join(c.DataDir, "containerd", c.NodeName) }
func (c Config) socket() string { return filepath.Join(c.StateDir, "containerd.sock") }
func (c Config) config() string { return filepath.Join(c.root(), "config.toml") }
func (c Config) log() string    { return filepath.Join(c.root(), "containerd.log") }

// cniData is the environment variable that tells the carried network plugin where this node keeps its pods' addresses.
func (c Config) cniData() string { return "SEPTET_CNI_DATA=" + filepath.Join(c.StateDir, "cni") }

func (c Config) pidFile() string { return filepath.Join(c.StateDir, "containerd.pid") }

// shimSockets is the folder of the shims' sockets. Their names have 64 digits, which leaves no room for a node's name.
func (c Config) shimSockets() string {
	return fmt.Sprintf("/run/septet/s/%x", sha256.Sum256([]byte(c.StateDir)))[:len("/run/septet/s/")+8]
}

// Runtime is a node's running containerd.
type Runtime struct {
	config Config
	bin    string   // the folder of the unpacked programs
	want   string   // the digest of configuration and programs
	lock   *os.File // held for as long as this Runtime supervises
	stop   context.CancelFunc
	done   chan struct{} // closed when supervision has ended

	unpacking *carried.Unpacking

	mu      sync.Mutex
	current *process
}

// Start brings up the node's runtime, or adopts the one that an earlier septet left running, and watches over it until
// ctx ends or Stop is called. It returns when CRI is served and the pause image is there. When ctx ends, containerd
// stays: container logs pass through it, and the next Start adopts it.
func Start(ctx context.Context, config Config) (*Runtime, error) {
	r, err := prepare(config)
	if err != nil {
		return nil, err
	}
	running, err := r.adoptOrStart(ctx)
	if err == nil {
		err = r.unpacking.Await(programs...)
	}
	if err != nil {
		r.lock.Close()
		return nil, err
	}
	r.current = running
	watch, stop := context.WithCancel(ctx)
	r.stop = stop
	go r.supervise(watch, running)
	if err := r.ensurePause(ctx); err != nil {
		r.halt()
		return nil, err
	}
	return r, nil
}

// prepare begins to unpack the programs, writes the configuration, and takes the lock that keeps a second septet out.
func prepare(config Config) (*Runtime, error) {
	c, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{c.root(), c.StateDir, c.CNIConfDir} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("containerd: %w", err)
		}
	}
	if err := os.Symlink("/etc/containerd/certs.d", c.RegistryDir); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	unpacking, err := carried.Begin(c.DataDir, programs...)
	if err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	bin := unpacking.Dir
	lock, err := lockFile(filepath.Join(c.StateDir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("containerd: another septet runs the node %s: %w", c.NodeName, err)
	}
	want, err := writeConfig(c, bin)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("containerd: %w", err)
	}
	return &Runtime{config: c, bin: bin, unpacking: unpacking, want: want, lock: lock, done: make(chan struct{})}, nil
}

// Endpoint is where CRI (runtime and images) is served: unix:///….
func (r *Runtime) Endpoint() string { return "unix://" + r.config.socket() }

// CNIConfDir is where the pod network's configuration belongs; containerd watches it.
func (r *Runtime) CNIConfDir() string { return r.config.CNIConfDir }

// BinDir is the folder of the unpacked programs: septet-cni and runc are there too.
func (r *Runtime) BinDir() string { return r.bin }

// LogFile is where containerd writes its log; it and its predecessor, LogFile.1, stay below 10 MB each.
func (r *Runtime) LogFile() string { return r.config.log() }

// Stop ends containerd and leaves the pods running under their shims. What they write to standard output waits until
// containerd is back.
func (r *Runtime) Stop(ctx context.Context) error {
	r.halt()
	r.mu.Lock()
	running := r.current
	r.mu.Unlock()
	if running == nil {
		return nil
	}
	return running.terminate(ctx)
}

// halt ends the supervision, not containerd.
func (r *Runtime) halt() {
	r.stop()
	<-r.done
}

// ensurePause imports the pause image, unless an earlier start has imported this very one.
func (r *Runtime) ensurePause(ctx context.Context) error {
	carriedNow, err := carried.Digest(carried.Pause)
	if err != nil {
		return fmt.Errorf("containerd: %w", err)
	}
	noted := filepath.Join(r.config.root(), "pause.sha256")
	if imported, err := os.ReadFile(noted); err == nil && string(imported) == carriedNow {
		if present, err := r.hasImage(ctx, PauseImage); err != nil || present {
			return err
		}
	}
	dir, err := carried.Unpack(r.config.DataDir, carried.Pause)
	if err != nil {
		return fmt.Errorf("containerd: %w", err)
	}
	if _, err := r.importImage(ctx, filepath.Join(dir, carried.Pause), "--pin"); err != nil {
		return err
	}
	return os.WriteFile(noted, []byte(carriedNow), 0o600)
}
