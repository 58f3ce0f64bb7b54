package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"
)

// del is the CNI command DEL. It succeeds if nothing of the attachment is left, whoever removed it.
func del(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	return release(c, args.ContainerID, args.IfName)
}

// release removes an attachment: its host ports, its pair, and last its addresses, so that nobody gets them too early.
func release(c *config, container, ifname string) error {
	l, err := openLeases(c.DataDir)
	if err != nil {
		return err
	}
	defer l.close()
	given, err := l.find(container, ifname)
	if err != nil {
		return err
	}
	if given != nil {
		if err := withdraw(c, l, given); err != nil {
			return err
		}
	}
	if err := removeLink(hostName(container, ifname)); err != nil {
		return err
	}
	if given == nil {
		return nil
	}
	return l.free(given)
}

// removeLink removes an interface, if it is there.
func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		if _, gone := netlink.LinkByName(name); errors.As(gone, new(netlink.LinkNotFoundError)) {
			return nil // the pod's namespace went meanwhile, and took it
		}
		return fmt.Errorf("removing %s: %w", name, err)
	}
	return nil
}

// collect is the CNI command GC: it releases every attachment that the runtime does not name.
func collect(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	valid := map[string]bool{}
	for _, a := range c.ValidAttachments {
		valid[key(a.ContainerID, a.IfName)] = true
	}
	return releaseAll(c, func(one *lease) bool { return !valid[key(one.Container, one.Interface)] })
}

func releaseAll(c *config, wanted func(*lease) bool) error {
	l, err := openLeases(c.DataDir)
	if err != nil {
		return err
	}
	found, err := l.all()
	l.close()
	if err != nil {
		return err
	}
	var problems []error
	for _, one := range found {
		if wanted(one) {
			problems = append(problems, release(c, one.Container, one.Interface))
		}
	}
	return errors.Join(problems...)
}

// status is the CNI command STATUS: an error says that no pod can be attached now.
func status(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	l, err := openLeases(c.DataDir)
	if err != nil {
		return types.NewError(50, "the leases cannot be kept", err.Error()) // 50: the plugin is not available
	}
	l.close()
	return nil
}

// purge removes all that was made for networks: attachments, rules, bridges and leases. The networks are given as files
// of configuration lists; lists without a septet-cni in them are left alone.
func purge(files []string) error {
	var problems []error
	for _, file := range files {
		if err := purgeList(file); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", file, err))
		}
	}
	return errors.Join(problems...)
}

func purgeList(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var list struct {
		Name    string
		Plugins []json.RawMessage
	}
	if err := json.Unmarshal(content, &list); err != nil {
		return err
	}
	for _, plugin := range list.Plugins {
		c := &config{}
		if err := json.Unmarshal(plugin, c); err != nil {
			return err
		}
		if c.Type != "septet-cni" {
			continue
		}
		c.Name = list.Name
		if err := c.complete(); err != nil {
			return err
		}
		if err := purgeNetwork(c); err != nil {
			return err
		}
	}
	return nil
}

func purgeNetwork(c *config) error {
	return errors.Join(
		releaseAll(c, func(*lease) bool { return true }),
		removeRules(c),
		removeLink(c.Bridge),
		os.RemoveAll(c.DataDir),
	)
}
