package cluster

import "path/filepath"

// paths are where things lie below a data directory. One machine may hold several nodes, each with paths of its own.
type paths struct {
	data string
	node string // the node's name
}

func (p paths) pki(file string) string { return filepath.Join(p.data, "pki", file) }
func (p paths) admin() string          { return filepath.Join(p.data, "admin.kubeconfig") }
func (p paths) dns() string            { return filepath.Join(p.data, "dns.kubeconfig") }
func (p paths) etcd() string           { return filepath.Join(p.data, "etcd") }
func (p paths) version() string        { return filepath.Join(p.data, "version") }
func (p paths) pid() string            { return filepath.Join(p.data, "septet.pid") }
func (p paths) log() string            { return filepath.Join(p.data, "septet.log") }
func (p paths) volumes() string        { return filepath.Join(p.data, "volumes") }
func (p paths) host() string           { return filepath.Join(p.data, "host.json") }

// ofNode is a folder of the node.
func (p paths) ofNode(parts ...string) string {
	return filepath.Join(append([]string{p.data, "nodes", p.node}, parts...)...)
}

func (p paths) kubelet() string      { return p.ofNode("kubelet") }
func (p paths) podLogs() string      { return p.ofNode("log", "pods") }
func (p paths) manifests() string    { return filepath.Join(p.data, "manifests") }
func (p paths) certificates() string { return p.ofNode("pki") }

// runtime is the folder of the node's sockets and mounts. Socket paths may have 104 bytes, so it is not below data.
func (p paths) runtime() string { return filepath.Join("/run/septet", p.node) }

// cgroup is the parent of the node's Pods' cgroups: nodes of one machine keep theirs apart.
func (p paths) cgroup() string { return "/septet/" + p.node }
