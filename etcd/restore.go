package etcd

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"go.etcd.io/etcd/server/v3/etcdserver/cindex"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

// Restore makes the data directory of a member of a new cluster from a snapshot. Every member of that cluster has to be
// restored from the same file with the same InitialCluster and InitialToken.
type Restore struct {
	File, DataDir string
	// Name, PeerURLs, InitialCluster and InitialToken as in Config; a cluster of one if InitialCluster is empty.
	Name, InitialCluster, InitialToken string
	PeerURLs                           []string
}

// Run does it. On error nothing is left in DataDir.
func (r Restore) Run() (err error) {
	if _, err := os.Stat(r.DataDir); r.DataDir == "" || !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("etcd restore: data directory %q must be given and not exist", r.DataDir)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(r.DataDir)
			err = fmt.Errorf("etcd restore: %w", err)
		}
	}()
	snapDir, walDir := filepath.Join(r.DataDir, "member", "snap"), filepath.Join(r.DataDir, "member", "wal")
	if err := os.MkdirAll(snapDir, 0o700); err != nil {
		return err
	}
	if err := copyDatabase(r.File, databasePath(r.DataDir)); err != nil {
		return err
	}
	cluster, self, err := r.cluster()
	if err != nil {
		return err
	}
	entries, voters, err := founding(cluster)
	if err != nil {
		return err
	}
	v2, err := r.rewriteMembership(cluster, uint64(len(entries)))
	if err != nil {
		return err
	}
	return writeLog(walDir, snapDir, cluster, self, entries, voters, v2)
}

// copyDatabase checks the sum behind a snapshot and copies what is before it.
func copyDatabase(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !hasSum(info.Size()) {
		return fmt.Errorf("%s is not a snapshot: it has no checksum", from)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	hash := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(out, hash), in, info.Size()-sha256.Size); err != nil {
		return err
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(in, want); err != nil {
		return err
	}
	if string(hash.Sum(nil)) != string(want) {
		return fmt.Errorf("%s is damaged: its checksum is wrong", from)
	}
	return out.Sync()
}

func (r Restore) cluster() (*membership.RaftCluster, types.ID, error) {
	initial := r.InitialCluster
	if initial == "" {
		var pairs []string
		for _, url := range r.PeerURLs {
			pairs = append(pairs, r.Name+"="+url)
		}
		initial = strings.Join(pairs, ",")
	}
	urls, err := types.NewURLsMap(initial)
	if err != nil {
		return nil, 0, err
	}
	cluster, err := membership.NewClusterFromURLsMap(zap.NewNop(), orElse(r.InitialToken, "etcd-cluster"), urls)
	if err != nil {
		return nil, 0, err
	}
	self := cluster.MemberByName(r.Name)
	if self == nil {
		return nil, 0, fmt.Errorf("member %q is not in the initial cluster %q", r.Name, initial)
	}
	return cluster, self.ID, nil
}

// founding are the log entries by which the members found the cluster: the same for all of them.
func founding(cluster *membership.RaftCluster) (entries []raftpb.Entry, voters []uint64, err error) {
	for i, id := range cluster.MemberIDs() {
		description, err := json.Marshal(cluster.Member(id))
		if err != nil {
			return nil, nil, err
		}
		change := raftpb.ConfChange{Type: raftpb.ConfChangeAddNode, NodeID: uint64(id), Context: description}
		data, err := change.Marshal()
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, raftpb.Entry{Type: raftpb.EntryConfChange, Term: 1, Index: uint64(i + 1), Data: data})
		voters = append(voters, uint64(id))
	}
	return entries, voters, nil
}

// rewriteMembership puts the new members in the place of the old ones, and says that the founding entries have been applied.
// It returns the members in the form that a raft snapshot carries.
func (r Restore) rewriteMembership(cluster *membership.RaftCluster, applied uint64) (v2 []byte, err error) {
	log := zap.NewNop()
	db := backend.NewDefaultBackend(log, databasePath(r.DataDir))
	defer db.Close()
	members := schema.NewMembershipBackend(log, db)
	if err := members.TrimMembershipFromBackend(); err != nil {
		return nil, err
	}
	v2Store := v2store.New(etcdserver.StoreClusterPrefix, etcdserver.StoreKeysPrefix)
	cluster.SetStore(v2Store)
	cluster.SetBackend(members)
	for _, member := range cluster.Members() {
		cluster.AddMember(member, membership.ApplyBoth)
	}
	cindex.UpdateConsistentIndexForce(db.BatchTx(), applied, 1)
	db.ForceCommit()
	return v2Store.Save()
}

// writeLog begins a write-ahead log behind the founding entries, with a raft snapshot there: a member that joins
// later gets the whole database then, instead of replaying entries onto nothing.
func writeLog(walDir, snapDir string, cluster *membership.RaftCluster, self types.ID, entries []raftpb.Entry, voters []uint64, v2 []byte) error {
	identity := &etcdserverpb.Metadata{NodeID: uint64(self), ClusterID: uint64(cluster.ID())}
	metadata, err := identity.Marshal()
	if err != nil {
		return err
	}
	log, err := wal.Create(zap.NewNop(), walDir, metadata)
	if err != nil {
		return err
	}
	defer log.Close()
	commit := uint64(len(entries))
	if err := log.Save(raftpb.HardState{Term: 1, Vote: voters[0], Commit: commit}, entries); err != nil {
		return err
	}
	state := raftpb.ConfState{Voters: voters}
	at := raftpb.SnapshotMetadata{Index: commit, Term: 1, ConfState: state}
	if err := snap.New(zap.NewNop(), snapDir).SaveSnap(raftpb.Snapshot{Data: v2, Metadata: at}); err != nil {
		return err
	}
	return log.SaveSnapshot(walpb.Snapshot{Index: commit, Term: 1, ConfState: &state})
}
