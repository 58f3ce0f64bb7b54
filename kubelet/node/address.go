package node

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// Hostname returns the name that the node has unless another is given: the
// machine's, in lower case.
func Hostname(override string) (string, error) {
	name := override
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("host name: %w", err)
		}
	}
	if name = strings.ToLower(strings.TrimSpace(name)); name == "" {
		return "", fmt.Errorf("the host has no name; give the node one with --hostname-override")
	}
	return name, nil
}

// DefaultIP returns the address from which this machine reaches others: that of
// the default route, else the first that is not a loopback's.
func DefaultIP() (net.IP, error) {
	// Connecting a datagram socket sends nothing; it only picks a route.
	for _, target := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		if conn, err := net.Dial("udp", target); err == nil {
			local, ok := conn.LocalAddr().(*net.UDPAddr)
			conn.Close()
			if ok && local.IP.IsGlobalUnicast() {
				return local.IP, nil
			}
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	for _, a := range addresses {
		if subnet, ok := a.(*net.IPNet); ok && subnet.IP.IsGlobalUnicast() {
			return subnet.IP, nil
		}
	}
	return nil, fmt.Errorf("this machine has no address but loopback; give one with --node-ip")
}

// ParseIPs reads --node-ip: one address, or one of each family. An unspecified one
// (0.0.0.0, ::) asks for the machine's own of that family.
func ParseIPs(list string) ([]net.IP, error) {
	if list == "" {
		ip, err := DefaultIP()
		if err != nil {
			return nil, err
		}
		return []net.IP{ip}, nil
	}
	var ips []net.IP
	for _, text := range strings.Split(list, ",") {
		ip := net.ParseIP(strings.TrimSpace(text))
		if ip == nil {
			return nil, fmt.Errorf("--node-ip: %q is not an IP address", text)
		}
		if ip.IsUnspecified() {
			own, err := DefaultIP()
			if err != nil {
				return nil, err
			}
			ip = own
		}
		ips = append(ips, ip)
	}
	if len(ips) > 2 || len(ips) == 2 && (ips[0].To4() == nil) == (ips[1].To4() == nil) {
		return nil, fmt.Errorf("--node-ip: give one address, or one of each family")
	}
	return ips, nil
}
