package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Member is one of the cluster.
type Member struct {
	ID                     uint64
	Name                   string // empty until it has started for the first time
	PeerURLs, ClientURLs   []string
	Learner, Leader, Local bool
}

// Members returns all members, as the cluster itself knows them at this moment.
func (s *Server) Members(ctx context.Context) ([]Member, error) {
	response, err := s.Client().MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("etcd: list members: %w", err)
	}
	leader, self := uint64(s.member.Server.Leader()), uint64(s.member.Server.MemberID())
	members := make([]Member, 0, len(response.Members))
	for _, m := range response.Members {
		members = append(members, Member{
			ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs,
			Learner: m.IsLearner, Leader: m.ID == leader, Local: m.ID == self,
		})
	}
	return members, nil
}

// AddMember lets another member join: as a learner, which gets all data but has no vote, so that a cluster of one goes
// on while its second member starts. The result is what the new member needs as Config.InitialCluster, with Join set.
// Promote makes it a full member. A member with the same URLs is not added twice.
func (s *Server) AddMember(ctx context.Context, name string, peerURLs []string) (id uint64, initialCluster string, err error) {
	members, err := s.Members(ctx)
	if err != nil {
		return 0, "", err
	}
	for _, m := range members {
		if strings.Join(m.PeerURLs, ",") == strings.Join(peerURLs, ",") {
			return m.ID, initialClusterOf(members, m.ID, name), nil
		}
	}
	var response *clientv3.MemberAddResponse
	// etcd refuses for some seconds after the last member came, until all have been seen well.
	err = retry(ctx, func() (err error) {
		response, err = s.Client().MemberAddAsLearner(ctx, peerURLs)
		return err
	}, rpctypes.ErrUnhealthy)
	if err != nil {
		return 0, "", fmt.Errorf("etcd: add member %s: %w", name, err)
	}
	return response.Member.ID, initialClusterOf(fromResponse(response), response.Member.ID, name), nil
}

func fromResponse(response *clientv3.MemberAddResponse) (members []Member) {
	for _, m := range response.Members {
		members = append(members, Member{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs})
	}
	return members
}

// initialClusterOf names the new member, which has told the cluster no name yet.
func initialClusterOf(members []Member, id uint64, name string) string {
	var all []string
	for _, m := range members {
		if m.ID == id {
			m.Name = name
		}
		for _, url := range m.PeerURLs {
			all = append(all, m.Name+"="+url)
		}
	}
	return strings.Join(all, ",")
}

// Promote makes a learner a full member as soon as it has caught up; until then it waits.
func (s *Server) Promote(ctx context.Context, id uint64) error {
	err := retry(ctx, func() error {
		_, err := s.Client().MemberPromote(ctx, id)
		return err
	}, rpctypes.ErrMemberLearnerNotReady, rpctypes.ErrUnhealthy)
	if err != nil && !sameError(err, rpctypes.ErrMemberNotLearner) {
		return fmt.Errorf("etcd: promote member %x: %w", id, err)
	}
	return nil
}

// retry repeats do, more and more slowly, while it fails with one of the errors that pass by themselves.
func retry(ctx context.Context, do func() error, passing ...error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := do()
		if err == nil || !slices.ContainsFunc(passing, func(p error) bool { return sameError(err, p) }) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func sameError(a, b error) bool { return rpctypes.ErrorDesc(a) == rpctypes.ErrorDesc(b) }

// RemoveMember takes a member out of the cluster for good: its data directory is of no use afterwards.
func (s *Server) RemoveMember(ctx context.Context, id uint64) error {
	if _, err := s.Client().MemberRemove(ctx, id); err != nil && !sameError(err, rpctypes.ErrMemberNotFound) {
		return fmt.Errorf("etcd: remove member %x: %w", id, err)
	}
	return nil
}

// SetPeerURLs tells the cluster where the member itself can be reached from now on, as when a member that was alone
// begins to listen for others.
func (s *Server) SetPeerURLs(ctx context.Context, peerURLs []string) error {
	if _, err := s.Client().MemberUpdate(ctx, uint64(s.member.Server.MemberID()), peerURLs); err != nil {
		return fmt.Errorf("etcd: change peer URLs: %w", err)
	}
	return nil
}

// Health is nil if the member answers a linearizable read, has room for data, and found none corrupt.
func (s *Server) Health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if _, err := s.Client().Get(ctx, "health", clientv3.WithCountOnly()); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	for _, alarm := range s.member.Server.Alarms() {
		switch alarm.Alarm {
		case etcdserverpb.AlarmType_NOSPACE:
			return errors.New("etcd: the database is at its quota; compact and defragment it, then disarm the alarm")
		case etcdserverpb.AlarmType_CORRUPT:
			return fmt.Errorf("etcd: member %x has corrupt data", alarm.MemberID)
		}
	}
	return nil
}

// healthTimeout bounds a check.
const healthTimeout = 5 * time.Second

// Defragment gives space that is no longer used back to the file system. The member serves nothing meanwhile, about a second
// for a gigabyte; Config.DefragmentAbove does the same at start.
func (s *Server) Defragment() error {
	if err := s.member.Server.Backend().Defrag(); err != nil {
		return fmt.Errorf("etcd: defragment: %w", err)
	}
	return nil
}
