package conntrack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Settings are kernel settings of connection tracking; zero leaves one as it is.
type Settings struct {
	Max                          int
	TCPEstablished, TCPCloseWait time.Duration
	UDP, UDPStream               time.Duration
	TCPLiberal                   bool
}

const dir = "/proc/sys/net/netfilter"

// Apply writes the settings that differ. In a network namespace of its own, and in many containers, some cannot be written: the errors are for
// the log, the proxy works without.
func Apply(s Settings) error {
	var errs []error
	if s.Max > 0 {
		// Never less than the host has: others need it, too.
		if have, err := read("nf_conntrack_max"); err != nil || have < s.Max {
			errs = append(errs, write("nf_conntrack_max", s.Max))
		}
	}
	for name, value := range map[string]time.Duration{
		"nf_conntrack_tcp_timeout_established": s.TCPEstablished, "nf_conntrack_tcp_timeout_close_wait": s.TCPCloseWait,
		"nf_conntrack_udp_timeout": s.UDP, "nf_conntrack_udp_timeout_stream": s.UDPStream,
	} {
		if value > 0 {
			errs = append(errs, write(name, int(value/time.Second)))
		}
	}
	if s.TCPLiberal {
		errs = append(errs, write("nf_conntrack_tcp_be_liberal", 1))
	}
	return errors.Join(errs...)
}

func read(name string) (int, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

func write(name string, value int) error {
	if have, err := read(name); err == nil && have == value {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(strconv.Itoa(value)), 0o644); err != nil {
		return fmt.Errorf("kernel setting net.netfilter.%s=%d: %w", name, value, err)
	}
	return nil
}
