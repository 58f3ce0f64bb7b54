package cluster

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Finding is what one check of the host found.
type Finding struct {
	Name string
	// Level is "ok", "lacking" (something works less well) or "missing" (a node cannot run).
	Level string
	// Detail says what was found, Remedy what to do about it.
	Detail, Remedy string
}

// hostCheck looks at one thing. It changes nothing.
type hostCheck struct {
	name   string
	needed bool
	remedy string
	look   func(o *Options) (detail string, err error)
}

// hostChecks are all that a node needs of its host, in the order in which lacking them shows.
var hostChecks = []hostCheck{
	{"root", true, "run as root (sudo)", checkRoot},
	{"cgroups", true, "mount cgroup v2 at /sys/fs/cgroup, or the v1 controllers cpu, memory and pids below it", checkCgroups},
	{"overlayfs", true, "load the kernel module: modprobe overlay", checkFilesystem("overlay")},
	{"namespaces", true, "use a kernel with pid, net, mnt, ipc and uts namespaces", checkNamespaces},
	{"nftables", true, "load the kernel module: modprobe nf_tables", checkNftables},
	{"bridges", true, "load the kernel module: modprobe bridge", checkNetlink},
	{"conntrack", false, "load the kernel module: modprobe nf_conntrack", checkConntrack},
	{"oom_score_adj", false, "give the process CAP_SYS_RESOURCE; without it, the order in which the kernel kills processes is not set", checkSysResource},
	{"port of the API server", true, "stop what listens there, or say --port", func(o *Options) (string, error) { return checkPort(o.Port) }},
	{"port of the kubelet", true, "stop what listens there", func(*Options) (string, error) { return checkPort(kubeletPort) }},
	{"disk space", false, "free some space below --data-dir: kubelets evict Pods when less than 10 % is left", checkSpace},
}

// Check looks at everything that a node needs of its host.
func (o *Options) Check() []Finding {
	findings := make([]Finding, 0, len(hostChecks))
	for _, check := range hostChecks {
		finding := Finding{Name: check.name, Level: "ok"}
		detail, err := check.look(o)
		finding.Detail = detail
		if err != nil {
			finding.Detail, finding.Remedy, finding.Level = err.Error(), check.remedy, "lacking"
			if check.needed {
				finding.Level = "missing"
			}
		}
		findings = append(findings, finding)
	}
	return findings
}

// PrintFindings writes a line for each finding, and the remedies. It returns how many needed things are missing.
func PrintFindings(w io.Writer, findings []Finding) int {
	missing := 0
	for _, f := range findings {
		fmt.Fprintf(w, "%-8s %-24s %s\n", f.Level, f.Name, f.Detail)
		if f.Remedy != "" {
			fmt.Fprintf(w, "%-8s %-24s → %s\n", "", "", f.Remedy)
		}
		if f.Level == "missing" {
			missing++
		}
	}
	return missing
}

// preflight refuses to start where something is missing, before anything is changed. Ports are tried by those who listen on them.
func (o *Options) preflight() error {
	for _, check := range hostChecks {
		if !check.needed || strings.HasPrefix(check.name, "port") || o.DisableAgent {
			continue
		}
		if _, err := check.look(o); err != nil {
			return fmt.Errorf("%s: %w: %s", check.name, err, check.remedy)
		}
	}
	return nil
}

func checkRoot(*Options) (string, error) {
	if uid := os.Geteuid(); uid != 0 {
		return "", fmt.Errorf("running as user %d", uid)
	}
	return "running as root", nil
}

func checkCgroups(*Options) (string, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &stat); err != nil {
		return "", fmt.Errorf("/sys/fs/cgroup: %w", err)
	}
	if stat.Type == unix.CGROUP2_SUPER_MAGIC {
		return "version 2", nil
	}
	for _, controller := range []string{"cpu", "memory", "pids"} {
		if _, err := os.Stat("/sys/fs/cgroup/" + controller); err != nil {
			return "", fmt.Errorf("controller %s is not mounted", controller)
		}
	}
	return "version 1", nil
}

func checkFilesystem(name string) func(*Options) (string, error) {
	return func(*Options) (string, error) {
		known, err := os.ReadFile("/proc/filesystems")
		if err != nil {
			return "", err
		}
		if strings.Contains(string(known), "\t"+name+"\n") {
			return "known to the kernel", nil
		}
		// Most kernels have it as a module, which they load when somebody asks for the file system.
		fd, err := unix.Fsopen(name, unix.FSOPEN_CLOEXEC)
		if err != nil {
			return "", fmt.Errorf("the kernel does not know %s, and loads no module for it: %w", name, err)
		}
		return "known to the kernel, which has just loaded it", unix.Close(fd)
	}
}

func checkNamespaces(*Options) (string, error) {
	var lacking []string
	for _, kind := range []string{"pid", "net", "mnt", "ipc", "uts"} {
		if _, err := os.Stat("/proc/self/ns/" + kind); err != nil {
			lacking = append(lacking, kind)
		}
	}
	if len(lacking) > 0 {
		return "", fmt.Errorf("the kernel has no %s namespaces", strings.Join(lacking, ", "))
	}
	return "all there", nil
}

func checkNftables(*Options) (string, error) {
	conn, err := nftables.New()
	if err != nil {
		return "", err
	}
	tables, err := conn.ListTables()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d tables", len(tables)), nil
}

func checkNetlink(*Options) (string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d network devices", len(links)), nil
}

func checkConntrack(*Options) (string, error) {
	most, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
	if err != nil {
		return "", errors.New("connections are not tracked yet")
	}
	return "up to " + strings.TrimSpace(string(most)) + " connections", nil
}

func checkSysResource(*Options) (string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(status), "\n") {
		hex, found := strings.CutPrefix(line, "CapEff:")
		if !found {
			continue
		}
		caps, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err == nil && caps&(1<<unix.CAP_SYS_RESOURCE) != 0 {
			return "may be set", nil
		}
	}
	return "", errors.New("CAP_SYS_RESOURCE is missing")
}

func checkPort(port int) (string, error) {
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d is free", port), listener.Close()
}

func checkSpace(o *Options) (string, error) {
	dir := o.DataDir
	var stat unix.Statfs_t
	for unix.Statfs(dir, &stat) != nil {
		if dir == "/" {
			return "", errors.New("cannot be told")
		}
		dir = dir[:max(strings.LastIndexByte(dir, '/'), 1)]
	}
	free := float64(stat.Bavail) / float64(stat.Blocks)
	text := fmt.Sprintf("%.0f %% of %s free", 100*free, dir)
	if free < 0.15 {
		return "", errors.New(text)
	}
	return text, nil
}
