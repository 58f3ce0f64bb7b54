package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// leases are the addresses that are in use, as files, so that they outlive every process:
//
//	lock          held by whoever changes the rest
//	boot          the kernel's boot id: after a reboot, every lease is void
//	ip/ADDRESS    holds the attachment's key
//	id/KEY        the attachment's lease, as JSON
//	last/ADDRESS  named by the range's first address, holds the address that was given out last
//
// An address file without a lease that names it was left by a process that died halfway; it counts as free. An address
// is given out again as late as possible.
type leases struct {
	dir  string
	lock *os.File
}

// lease is what one attachment (a pod's interface) holds.
type lease struct {
	Container string        `json:"container"`
	Interface string        `json:"interface"`
	Addresses []netip.Addr  `json:"addresses"`
	Ports     []portMapping `json:"ports,omitempty"`
}

// openLeases takes the lock; close gives it back.
func openLeases(dir string) (*leases, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		for _, sub := range []string{"ip", "id", "last"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
				return nil, err
			}
		}
		lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		return nil, err
	}
	l := &leases{dir: dir, lock: lock}
	if err := l.acquire(); err != nil {
		lock.Close()
		return nil, err
	}
	return l, nil
}

func (l *leases) acquire() error {
	for {
		if err := unix.Flock(int(l.lock.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			if err != nil {
				return fmt.Errorf("locking %s: %w", l.dir, err)
			}
			return l.forgetOtherBoots()
		}
	}
}

func (l *leases) close() { l.lock.Close() }

// forgetOtherBoots empties the folder if it was filled before the last reboot, which ended every pod.
func (l *leases) forgetOtherBoots() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	noted, err := os.ReadFile(filepath.Join(l.dir, "boot"))
	if bytes.Equal(boot, noted) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, sub := range []string{"ip", "id", "last"} {
		if err := os.RemoveAll(filepath.Join(l.dir, sub)); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(l.dir, sub), 0o700); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(l.dir, "boot"), boot, 0o600)
}

// key names an attachment's lease file.
func key(container, ifname string) string { return container + "." + ifname }

// take leases an address of each range to an attachment.
func (l *leases) take(c *config, container, ifname string) (*lease, error) {
	if old, err := l.find(container, ifname); err != nil {
		return nil, err
	} else if old != nil {
		return nil, fmt.Errorf("%s of container %s is attached already", ifname, container)
	}
	given := &lease{Container: container, Interface: ifname, Ports: c.RuntimeConfig.PortMappings}
	for _, r := range c.Ranges {
		address, err := l.takeFrom(r, key(container, ifname))
		if err != nil {
			l.free(given)
			return nil, err
		}
		given.Addresses = append(given.Addresses, address)
	}
	content, err := json.Marshal(given)
	if err == nil {
		err = os.WriteFile(l.leaseFile(container, ifname), content, 0o600)
	}
	if err != nil {
		l.free(given)
		return nil, err
	}
	return given, nil
}

// takeFrom gives out the next free address after the last one, coming round at the range's end.
func (l *leases) takeFrom(r netip.Prefix, owner string) (netip.Addr, error) {
	first := gateway(r).Next()
	last := filepath.Join(l.dir, "last", r.Addr().String())
	next := first
	if noted, err := os.ReadFile(last); err == nil {
		if a, err := netip.ParseAddr(string(noted)); err == nil && usable(r, a.Next()) {
			next = a.Next()
		}
	}
	for begin := next; ; {
		taken, err := l.claim(next, owner)
		if err != nil {
			return netip.Addr{}, err
		}
		if taken {
			return next, os.WriteFile(last, []byte(next.String()), 0o600)
		}
		if next = next.Next(); !usable(r, next) {
			next = first
		}
		if next == begin {
			return netip.Addr{}, fmt.Errorf("every address of %s is in use", r)
		}
	}
}

// usable says if an address may be a pod's: within the range, and not IPv4's broadcast address.
func usable(r netip.Prefix, a netip.Addr) bool {
	return r.Contains(a) && (!a.Is4() || r.Contains(a.Next())) && a.Compare(gateway(r)) > 0
}

// claim makes an address's file, if the address is free.
func (l *leases) claim(a netip.Addr, owner string) (bool, error) {
	name := filepath.Join(l.dir, "ip", a.String())
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if held, err := l.held(a); err != nil || held {
			return false, err
		}
		file, err = os.OpenFile(name, os.O_TRUNC|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return false, err
	}
	_, err = file.WriteString(owner)
	if e := file.Close(); err == nil {
		err = e
	}
	return err == nil, err
}

// held says if an address's file stands for a lease.
func (l *leases) held(a netip.Addr) (bool, error) {
	owner, err := os.ReadFile(filepath.Join(l.dir, "ip", a.String()))
	if err != nil {
		return false, err
	}
	holder, err := readLease(filepath.Join(l.dir, "id", string(owner)))
	if err != nil || holder == nil {
		return false, err
	}
	for _, b := range holder.Addresses {
		if a == b {
			return true, nil
		}
	}
	return false, nil
}

// find returns an attachment's lease, or nil.
func (l *leases) find(container, ifname string) (*lease, error) {
	return readLease(l.leaseFile(container, ifname))
}

func (l *leases) leaseFile(container, ifname string) string {
	return filepath.Join(l.dir, "id", key(container, ifname))
}

// readLease returns nil for a lease that is not there, or that a dying process left unfinished.
func readLease(file string) (*lease, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EISDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := &lease{}
	if err := json.Unmarshal(content, found); err != nil {
		return nil, nil
	}
	return found, nil
}

// free gives a lease back. The lease file goes first: addresses without one count as free.
func (l *leases) free(given *lease) error {
	err := os.Remove(l.leaseFile(given.Container, given.Interface))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, a := range given.Addresses {
		if e := os.Remove(filepath.Join(l.dir, "ip", a.String())); e != nil && !errors.Is(e, fs.ErrNotExist) && err == nil {
			err = e
		}
	}
	return err
}

// all are the leases in force.
func (l *leases) all() ([]*lease, error) {
	files, err := os.ReadDir(filepath.Join(l.dir, "id"))
	if err != nil {
		return nil, err
	}
	var found []*lease
	for _, file := range files {
		if strings.HasPrefix(file.Name(), ".") {
			continue
		}
		one, err := readLease(filepath.Join(l.dir, "id", file.Name()))
		if err != nil {
			return nil, err
		}
		if one != nil {
			found = append(found, one)
		}
	}
	return found, nil
}
