package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Watch calls foreign after somebody else has changed a table of this name, or may have, until ctx ends. It must be called in the network namespace
// that the Kernel was opened in; it returns once it listens, with a function that waits for the end.
func (k *Kernel) Watch(ctx context.Context, foreign func()) (wait func() error, err error) {
	socket, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("nftables events: %w", err)
	}
	if err := errors.Join(socket.SetReadBuffer(receiveBuffer), socket.JoinGroup(unix.NFNLGRP_NFTABLES)); err != nil {
		return nil, errors.Join(fmt.Errorf("nftables events: %w", err), socket.Close())
	}
	k.mu.Lock()
	k.events, k.foreign = socket, foreign
	k.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	done := make(chan error, 1)
	go func() {
		defer stop()
		done <- k.listen(ctx, socket, foreign)
	}()
	return func() error { return <-done }, nil
}

// unheard runs a transaction whose events nobody has to listen to: for a whole table they would be as long as the table, each element an event. If
// anybody else changes anything meanwhile, the generation of the rules tells.
func (k *Kernel) unheard(transaction func() error) error {
	k.mu.Lock()
	events, foreign := k.events, k.foreign
	k.mu.Unlock()
	if events == nil {
		return transaction()
	}
	if err := events.LeaveGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return err
	}
	before, err := k.generation()
	if err == nil {
		err = transaction()
	}
	if joinErr := events.JoinGroup(unix.NFNLGRP_NFTABLES); joinErr != nil || err != nil {
		return errors.Join(err, joinErr)
	}
	after, err := k.generation()
	if err == nil && after != before+1 {
		foreign()
	}
	return err
}

// generation is the number of transactions that the kernel has committed.
func (k *Kernel) generation() (uint32, error) {
	answers, err := k.socket.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   []byte{unix.AF_UNSPEC, 0, 0, 0},
	})
	if err != nil || len(answers) == 0 || len(answers[0].Data) < 4 {
		return 0, fmt.Errorf("generation of nftables: %w", errors.Join(err, k.reopen()))
	}
	attributes, err := netlink.NewAttributeDecoder(answers[0].Data[4:])
	if err != nil {
		return 0, err
	}
	attributes.ByteOrder = binary.BigEndian
	for attributes.Next() {
		if attributes.Type() == unix.NFTA_GEN_ID {
			return attributes.Uint32(), nil
		}
	}
	return 0, errors.New("generation of nftables: not told")
}

func (k *Kernel) listen(ctx context.Context, socket *netlink.Conn, foreign func()) error {
	for {
		messages, err := socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			foreign() // too many events: some may have been of others
			continue
		case err != nil:
			return errors.Join(fmt.Errorf("nftables events: %w", err), socket.Close())
		}
		for i := range messages {
			if k.isForeign(&messages[i]) {
				foreign()
				break
			}
		}
	}
}

// isForeign says whether a message tells of a change by another process to a table of this name. Elements are the exception: the kernel itself adds
// clients to the affinity map, in nobody's name.
func (k *Kernel) isForeign(message *netlink.Message) bool {
	kind := uint16(message.Header.Type) & 0xff
	if kind == unix.NFT_MSG_NEWGEN || message.Header.PID == 0 {
		return false
	}
	k.mu.Lock()
	own := k.own[message.Header.PID]
	k.mu.Unlock()
	if own || len(message.Data) < 4 {
		return false
	}
	attributes, err := netlink.NewAttributeDecoder(message.Data[4:])
	if err != nil {
		return true
	}
	for attributes.Next() {
		// The table's name is the first attribute of every kind of message that matters.
		if attributes.Type() == 1 {
			return attributes.String() == TableName
		}
	}
	return false
}
