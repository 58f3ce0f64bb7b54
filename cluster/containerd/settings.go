package containerd

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// settings is containerd's configuration file, version 4. What differs from containerd's own defaults has its reason here.
//   - Every path is the node's own, so that several nodes live on one machine: sockets, netns, shims, runc's state.
//   - Periodic work is slowed down: an idle node should use no CPU. Statistics are computed when they are asked for.
//   - There is no runtime_path: containerd finds the shim by its name, in the PATH that launch gives it. By a path it would
//     not know runc's shim, and ask it for its capabilities, which is one more process for every container.
//   - The loopback device is brought up by containerd, not by one more plugin process for each pod.
//
// It is filled in by os.Expand: text/template finds methods by name, and a program that uses it keeps every method of every type.
const settings = `version = 4
root = ${Root}
state = ${State}
oom_score = ${OOMScore}

[debug]
  level = ${LogLevel}

[plugins.'io.containerd.server.v1.grpc']
  address = ${Socket}
[plugins.'io.containerd.server.v1.ttrpc']
  address = ${TTRPC}

[plugins.'io.containerd.shim.v1.manager']
  socket_dir = ${ShimSockets}

[plugins.'io.containerd.gc.v1.scheduler']
  startup_delay = '10s'

[plugins.'io.containerd.transfer.v1.local']
  config_path = ${Registries}
  [[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
    platform = 'linux'
    snapshotter = 'overlayfs'

[plugins.'io.containerd.snapshotter.v1.overlayfs']
  slow_chown = false

[plugins.'io.containerd.grpc.v1.cri']
  stream_server_address = '127.0.0.1'
  stream_server_port = '0'
  disable_tcp_service = true

[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  stats_collect_period = 30
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = ${Pause}
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = ${Registries}

[plugins.'io.containerd.cri.v1.runtime']
  enable_criu = false
  disable_apparmor = ${NoAppArmor}
  restrict_oom_score_adj = ${RestrictOOM}
  netns_mounts_under_state_dir = true
  stats_collect_period = '10s'
  cdi_spec_dirs = ['/etc/cdi', '/var/run/cdi']
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ${CNIBin}
    conf_dir = ${CNIConf}
    use_internal_loopback = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = 'runc'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = 'io.containerd.runc.v2'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = ${Runc}
        Root = ${RuncRoot}
        SystemdCgroup = false
`

// writeConfig writes the configuration for the programs in bin, and returns the digest of both: a containerd that was
// started with the same digest may be adopted.
func writeConfig(c Config, bin string) (string, error) {
	capable, err := hasCapability(capSysResource)
	if err != nil {
		return "", err
	}
	score := 0
	if capable {
		score = -999 // what the kubelet gives to the processes that a node cannot do without
	}
	apparmor, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	noAppArmor := err != nil || !bytes.HasPrefix(apparmor, []byte("Y"))
	values := map[string]string{
		"Root": quote(filepath.Join(c.root(), "data")), "State": quote(filepath.Join(c.StateDir, "c")),
		"OOMScore": strconv.Itoa(score), "RestrictOOM": strconv.FormatBool(!capable), "NoAppArmor": strconv.FormatBool(noAppArmor), "LogLevel": quote(c.LogLevel),
		"Socket": quote(c.socket()), "TTRPC": quote(c.socket() + ".ttrpc"), "ShimSockets": quote(c.shimSockets()),
		"Registries": quote(c.RegistryDir), "Pause": quote(PauseImage),
		"CNIBin": quoteAll(append([]string{bin}, c.CNIBinDirs...)), "CNIConf": quote(c.CNIConfDir),
		"Runc":     quote(filepath.Join(bin, "runc")),
		"RuncRoot": quote(filepath.Join(c.StateDir, "r")),
	}
	text := os.Expand(settings, func(name string) string { return values[name] })
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(text+c.NetNS)))
	return digest, replaceFile(c.config(), []byte(text))
}

// quote makes a TOML basic string; for paths and names, Go's escapes are TOML's.
func quote(s string) string { return strconv.Quote(s) }

func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// replaceFile writes a file so that nobody sees half of it.
func replaceFile(file string, content []byte) error {
	temporary := file + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}

// capSysResource is CAP_SYS_RESOURCE (capabilities(7)): without it, nobody may lower an oom_score_adj.
const capSysResource = 24

// hasCapability looks up one of this process's effective capabilities, which its children inherit.
func hasCapability(number uint) (bool, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return set&(1<<number) != 0, err
		}
	}
	return false, fmt.Errorf("/proc/self/status has no CapEff")
}
