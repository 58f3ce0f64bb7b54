package node

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/septet-io/septet/kubelet/spec"
)

// Machine is what this machine is and has. It does not change while it runs.
type Machine struct {
	CPUs   int64
	Memory int64 // bytes
	Swap   int64 // bytes
	// HugePages is bytes by page size ("2Mi").
	HugePages map[string]int64
	// Storage is the size in bytes of the file system of the kubelet's root.
	Storage int64

	MachineID, SystemUUID, BootID string
	Kernel, OSImage               string
}

// Inspect looks at the machine; rootDir is the kubelet's.
func Inspect(rootDir string) (*Machine, error) {
	m := &Machine{
		CPUs:       int64(goruntime.NumCPU()),
		HugePages:  map[string]int64{},
		MachineID:  firstLine("/etc/machine-id", "/var/lib/dbus/machine-id"),
		SystemUUID: strings.ToLower(firstLine("/sys/class/dmi/id/product_uuid", "/proc/device-tree/vm,uuid", "/etc/machine-id")),
		BootID:     firstLine("/proc/sys/kernel/random/boot_id"),
		OSImage:    osImage(),
	}
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return nil, fmt.Errorf("kernel version: %w", err)
	}
	m.Kernel = unix.ByteSliceToString(uname.Release[:])
	memory, err := meminfo()
	if err != nil {
		return nil, err
	}
	m.Memory, m.Swap = memory["MemTotal"], memory["SwapTotal"]
	var fs unix.Statfs_t
	if err := unix.Statfs(rootDir, &fs); err != nil {
		return nil, fmt.Errorf("file system of %s: %w", rootDir, err)
	}
	m.Storage = int64(fs.Blocks) * fs.Bsize
	pools, err := filepath.Glob("/sys/kernel/mm/hugepages/hugepages-*")
	if err != nil {
		return nil, err
	}
	for _, pool := range pools {
		size := spec.HugePageSize(filepath.Base(pool))
		count, err := strconv.ParseInt(firstLine(filepath.Join(pool, "nr_hugepages")), 10, 64)
		if size == "" || err != nil {
			continue
		}
		q := resource.MustParse(size)
		m.HugePages[size] = count * q.Value()
	}
	return m, nil
}

// Capacity is what the machine has, as a resource list.
func (m *Machine) Capacity(maxPods int32) v1.ResourceList {
	list := v1.ResourceList{
		v1.ResourceCPU:              *resource.NewQuantity(m.CPUs, resource.DecimalSI),
		v1.ResourceMemory:           *resource.NewQuantity(m.Memory, resource.BinarySI),
		v1.ResourceEphemeralStorage: *resource.NewQuantity(m.Storage, resource.BinarySI),
		v1.ResourcePods:             *resource.NewQuantity(int64(maxPods), resource.DecimalSI),
	}
	for size, bytes := range m.HugePages {
		list[v1.ResourceName(v1.ResourceHugePagesPrefix+size)] = *resource.NewQuantity(bytes, resource.BinarySI)
	}
	return list
}

// Allocatable is capacity without what is held back. Huge pages come out of the
// memory.
func Allocatable(capacity v1.ResourceList, held ...v1.ResourceList) v1.ResourceList {
	out := capacity.DeepCopy()
	take := func(name v1.ResourceName, q resource.Quantity) {
		left, ok := out[name]
		if !ok {
			return
		}
		left.Sub(q)
		if left.Sign() < 0 {
			left.Set(0)
		}
		out[name] = left
	}
	for _, list := range held {
		for name, q := range list {
			take(name, q)
		}
	}
	for name, q := range capacity {
		if strings.HasPrefix(string(name), v1.ResourceHugePagesPrefix) {
			take(v1.ResourceMemory, q)
		}
	}
	return out
}

// meminfo reads /proc/meminfo, in bytes.
func meminfo() (map[string]int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	defer f.Close()
	out := map[string]int64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(words[1], 10, 64); err == nil {
			out[strings.TrimSuffix(words[0], ":")] = n << 10
		}
	}
	return out, lines.Err()
}

// firstLine returns the first line of the first of the files that can be read.
func firstLine(files ...string) string {
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil {
			line, _, _ := strings.Cut(string(raw), "\n")
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func osImage() string {
	raw, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "Linux"
	}
	for _, line := range strings.Split(string(raw), "\n") {
		if value, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return "Linux"
}
