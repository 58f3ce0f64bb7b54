package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

// config is a network's configuration.
type config struct {
	types.PluginConf

	// Bridge is the name of the bridge that pods are connected to. Default: septet0.
	Bridge string `json:"bridge"`
	// MTU of bridge and pods, in bytes. Default: 1500.
	MTU int `json:"mtu"`
	// Ranges are the node's pod networks, one for each IP family. A pod gets an address of each; a range's first address
	// is the bridge's, and the pods' gateway.
	Ranges []netip.Prefix `json:"ranges"`
	// Routes are what a pod reaches through its gateway. Default: everything.
	Routes []netip.Prefix `json:"routes"`
	// DataDir keeps the leases; what is in it is void after a reboot. Default: a folder of the network's name, in
	// $SEPTET_CNI_DATA, which the node's runtime sets for its plugins, or else in /run/septet/cni.
	DataDir string `json:"dataDir"`

	// IPMasq gives connections that leave the cluster the node's address. Destinations in NonMasqueradeCIDRs (default:
	// the ranges) keep seeing the pod's.
	IPMasq             bool           `json:"ipMasq"`
	NonMasqueradeCIDRs []netip.Prefix `json:"nonMasqueradeCIDRs"`

	RuntimeConfig struct {
		PortMappings []portMapping `json:"portMappings"`
	} `json:"runtimeConfig"`

	previous *current.Result
}

// portMapping is a host port, as the capability portMappings has it.
type portMapping struct {
	HostPort      int    `json:"hostPort"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP,omitempty"`
}

// parse reads a configuration, fills up defaults and refuses what cannot work.
func parse(input []byte) (*config, error) {
	c := &config{}
	if err := json.Unmarshal(input, c); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "reading the network configuration", err.Error())
	}
	if err := c.complete(); err != nil {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "network configuration", err.Error())
	}
	if c.RawPrevResult != nil {
		if err := version.ParsePrevResult(&c.PluginConf); err != nil {
			return nil, err
		}
		previous, err := current.NewResultFromResult(c.PrevResult)
		if err != nil {
			return nil, err
		}
		c.previous = previous
	}
	return c, nil
}

func (c *config) complete() error {
	if c.Bridge == "" {
		c.Bridge = "septet0"
	}
	if len(c.Bridge) > 15 {
		return fmt.Errorf("bridge %q: more than 15 characters", c.Bridge)
	}
	if c.MTU == 0 {
		c.MTU = 1500
	}
	if c.MTU < 68 || c.MTU > 65535 {
		return fmt.Errorf("mtu %d: not between 68 and 65535", c.MTU)
	}
	if len(c.Ranges) == 0 {
		return errors.New("ranges: none given")
	}
	families := map[bool]bool{}
	for i, r := range c.Ranges {
		c.Ranges[i] = r.Masked()
		if families[r.Addr().Is4()] {
			return fmt.Errorf("ranges: %s is the second of its IP family", r)
		}
		families[r.Addr().Is4()] = true
		if r.Addr().BitLen()-r.Bits() < 2 {
			return fmt.Errorf("ranges: %s has no room for a pod beside the gateway", r)
		}
	}
	if c.Routes == nil {
		for _, r := range c.Ranges {
			c.Routes = append(c.Routes, everything(r.Addr()))
		}
	}
	if c.NonMasqueradeCIDRs == nil {
		c.NonMasqueradeCIDRs = c.Ranges
	}
	if c.DataDir == "" {
		dir := os.Getenv("SEPTET_CNI_DATA")
		if dir == "" {
			dir = "/run/septet/cni"
		}
		c.DataDir = filepath.Join(dir, c.Name)
	}
	return c.checkPorts()
}

func (c *config) checkPorts() error {
	for i := range c.RuntimeConfig.PortMappings {
		p := &c.RuntimeConfig.PortMappings[i]
		if p.Protocol == "" {
			p.Protocol = "tcp"
		}
		if _, err := protocolNumber(p.Protocol); err != nil {
			return err
		}
		if p.HostPort < 0 || p.HostPort > 65535 || p.ContainerPort < 1 || p.ContainerPort > 65535 {
			return fmt.Errorf("portMappings: port out of range: %+v", *p)
		}
		if p.HostIP != "" {
			if _, err := netip.ParseAddr(p.HostIP); err != nil {
				return fmt.Errorf("portMappings: hostIP: %w", err)
			}
		}
	}
	return nil
}

// everything is the default route of an address's family.
func everything(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// gateway is a range's first usable address: the bridge's.
func gateway(r netip.Prefix) netip.Addr { return r.Addr().Next() }
