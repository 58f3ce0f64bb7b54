package volume

import (
	"context"
	"io/fs"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Usage is what one volume takes up.
type Usage struct {
	Volume string // its name in the Pod
	// Claim is the PersistentVolumeClaim behind it; empty if there is none.
	Claim string
	// Used are the bytes of the volume itself; Capacity and Available are of the file system that it is on.
	Used, Capacity, Available uint64
	// InodesUsed counts the volume's own files; Inodes and InodesFree are the file system's.
	InodesUsed, Inodes, InodesFree uint64
	// Local means that it counts as the node's ephemeral storage.
	Local bool
}

// Usage measures the volumes of a Pod that is mounted here. It walks those that share a file system with others, so it is to be
// called seldom.
func (v *Volumes) Usage(ctx context.Context, pod types.UID) ([]Usage, error) {
	v.mu.Lock()
	p := v.pods[pod]
	v.mu.Unlock()
	if p == nil {
		return nil, nil
	}
	var list []Usage
	for volume, path := range p.measurable() {
		if err := ctx.Err(); err != nil {
			return list, err
		}
		usage, err := measure(path.dir, path.whole)
		if err != nil {
			return list, err
		}
		usage.Volume, usage.Claim, usage.Local = volume, path.claim, path.local
		list = append(list, usage)
	}
	return list, nil
}

type measured struct {
	dir, claim   string
	whole, local bool
}

// measurable returns the directories to measure. A hostPath is the host's, not the Pod's.
func (p *podVolumes) measurable() map[string]measured {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := map[string]measured{}
	if p.pod == nil {
		return found
	}
	for i := range p.pod.Spec.Volumes {
		volume := &p.pod.Spec.Volumes[i]
		m, ok := p.mounted[volume.Name]
		if !ok || m.Block || volume.HostPath != nil {
			continue
		}
		entry := measured{dir: m.HostPath}
		switch {
		case volume.PersistentVolumeClaim != nil:
			entry.claim = volume.PersistentVolumeClaim.ClaimName
			entry.whole = true
		case volume.Ephemeral != nil:
			entry.claim = p.pod.Name + "-" + volume.Name
			entry.whole = true
		case volume.NFS != nil, volume.CSI != nil:
			entry.whole = true
		case volume.EmptyDir != nil:
			entry.local = volume.EmptyDir.Medium == corev1.StorageMediumDefault
		default:
			entry.local = volume.ConfigMap != nil
		}
		found[volume.Name] = entry
	}
	return found
}

// measure asks the file system (whole: the volume is all of it), or adds up the tree.
func measure(dir string, whole bool) (Usage, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return Usage{}, err
	}
	block := uint64(stat.Bsize)
	usage := Usage{
		Capacity: stat.Blocks * block, Available: stat.Bavail * block, Used: (stat.Blocks - stat.Bfree) * block,
		Inodes: stat.Files, InodesFree: stat.Ffree, InodesUsed: stat.Files - stat.Ffree,
	}
	if whole {
		return usage, nil
	}
	used, inodes, err := Tree(dir)
	usage.Used, usage.InodesUsed = used, inodes
	return usage, err
}

// Tree adds up the disk blocks and inodes of a directory tree, hard links once, as du(1) does. What vanishes meanwhile does not count.
func Tree(dir string) (bytes, inodes uint64, err error) {
	type file struct{ dev, ino uint64 }
	seen := map[file]bool{}
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // vanished or unreadable: not counted
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // vanished
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		if stat.Nlink > 1 && !info.IsDir() {
			id := file{stat.Dev, stat.Ino}
			if seen[id] {
				return nil
			}
			seen[id] = true
		}
		bytes += uint64(stat.Blocks) * 512
		inodes++
		return nil
	})
	return bytes, inodes, err
}
