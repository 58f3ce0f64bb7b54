// Package etcd runs one member of the real etcd: in the same process as the API server without any socket, or as a
// server of its own (`septet etcd`). It chooses settings that start fast and stay small, turns etcd's log into
// ours, and has the operator's tasks: members, health, snapshot, restore, defragmentation.
package etcd
