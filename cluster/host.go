package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/septet-io/septet/pki"
)

// hostSettings are the kernel settings of the whole machine that a node changes, below /proc/sys: forwarding for the Pod network, connection
// tracking for kube-proxy. What they were before the first start is remembered in the data directory, so that `septet down` can put them back.
var hostSettings = []string{
	"net/ipv4/ip_forward",
	"net/ipv6/conf/all/forwarding",
	"net/netfilter/nf_conntrack_max",
	"net/netfilter/nf_conntrack_tcp_timeout_established",
	"net/netfilter/nf_conntrack_tcp_timeout_close_wait",
}

// rememberHost notes the settings as they are, once in the life of a data directory. A setting that the kernel does not have yet is left out.
func (p paths) rememberHost(kernel string) error {
	if _, err := os.Stat(p.host()); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found := map[string]string{}
	for _, name := range hostSettings {
		if value, err := os.ReadFile(filepath.Join(kernel, name)); err == nil {
			found[name] = strings.TrimSpace(string(value))
		}
	}
	text, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return err
	}
	return pki.WriteFile(p.host(), append(text, '\n'), 0o644)
}

// restoreHost puts the settings back that were remembered. Without a memory there is nothing to do.
func (p paths) restoreHost(kernel string) error {
	text, err := os.ReadFile(p.host())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var remembered map[string]string
	if err := json.Unmarshal(text, &remembered); err != nil {
		return fmt.Errorf("%s: %w", p.host(), err)
	}
	var errs []error
	for _, name := range hostSettings { // in this order: ip_forward sets others with it
		was, known := remembered[name]
		now, err := os.ReadFile(filepath.Join(kernel, name))
		if !known || err != nil || strings.TrimSpace(string(now)) == was {
			continue
		}
		if err := os.WriteFile(filepath.Join(kernel, name), []byte(was), 0o644); err != nil && !errors.Is(err, fs.ErrPermission) {
			errs = append(errs, fmt.Errorf("kernel setting %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// kernelSettings is where the kernel shows its settings.
const kernelSettings = "/proc/sys"
