// Command septet-cni connects pods to their node's network: one bridge a node, one veth pair a pod, addresses from the
// node's own ranges, host ports, and masquerading if asked for. It is a CNI plugin (specification 1.0.0 and 1.1.0; ADD,
// DEL, CHECK, STATUS, GC) that does in one process what bridge, host-local, loopback and portmap do in four, because
// most of what a plugin costs a pod's start is the start of the plugin.
//
//	ADD ── lease (addresses, on disk, under a lock) ── bridge ── veth pair ── the pod's side ── host ports
//	DEL ── the same, backwards, however little of it is still there
//
// It needs no br_netfilter, and works in whatever network namespace the runtime runs in.
//
// `septet-cni purge FILE...` removes all that was made for the networks of these configuration lists.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

func main() {
	runtime.LockOSThread() // one thread is enough, and the cheapest
	if len(os.Args) > 1 && os.Args[1] == "purge" {
		if err := purge(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "septet-cni:", err)
			os.Exit(1)
		}
		return
	}
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: check, Status: status, GC: collect},
		version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"), "septet-cni: the pod network of a node")
}
