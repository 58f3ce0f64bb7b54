// Package nft puts what package plan decides into the kernel's nftables, over netlink: whole tables when the proxy starts or somebody else has meddled
// with them, single elements after that. Every call is one transaction: packets see the rules before it or those after it.
package nft

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/septet-io/septet/proxy/plan"
)

// TableName is the name of the tables, upstream's: so either proxy takes over from the other.
const TableName = "kube-proxy"

// Kernel is the nftables of one network namespace. Its methods may be called by one goroutine at a time, but for Watch.
type Kernel struct {
	conn    *nftables.Conn
	socket  *netlink.Conn // of conn
	present [len(plan.Families)]bool

	mu  sync.Mutex
	own map[uint32]bool // port IDs of sockets that this Kernel has used: changes by others are foreign
	// events is what Watch listens on, foreign whom it tells; nil while nobody watches.
	events  *netlink.Conn
	foreign func()
}

// Open connects to the nftables of the network namespace of the calling thread.
func Open() (*Kernel, error) {
	k := &Kernel{own: map[uint32]bool{}}
	return k, k.reopen()
}

// Socket buffers. A transaction is one message to the kernel, whatever its size; the answers are small.
const (
	sendBuffer    = 64 << 20
	receiveBuffer = 4 << 20
)

// reopen replaces the socket: after an error, answers that nobody has read may be left in it.
func (k *Kernel) reopen() error {
	if k.conn != nil {
		if err := k.conn.CloseLasting(); err != nil {
			return fmt.Errorf("nftables: %w", err)
		}
		k.conn = nil
	}
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(socket *netlink.Conn) error {
		k.socket = socket
		if err := socket.SetWriteBuffer(sendBuffer); err != nil {
			return err
		}
		return socket.SetReadBuffer(receiveBuffer)
	}))
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	k.conn = conn
	id, err := portID(k.socket)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.own[id] = true
	k.mu.Unlock()
	return nil
}

// portID is the address of a netlink socket, which notifications of its changes carry.
func portID(socket *netlink.Conn) (id uint32, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		var address unix.Sockaddr
		if address, err = unix.Getsockname(int(fd)); err != nil {
			return
		}
		if netlinkAddress, ok := address.(*unix.SockaddrNetlink); ok {
			id = netlinkAddress.Pid
		}
	})
	return id, errors.Join(err, controlErr)
}

// Close gives up the connection. The tables stay.
func (k *Kernel) Close() error {
	if k.conn == nil {
		return nil
	}
	return k.conn.CloseLasting()
}

// Supports says whether the kernel has an IP family.
func Supports(family plan.Family) bool {
	if family == plan.IPv4 {
		return true
	}
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// Present says whether this Kernel has made the family's table.
func (k *Kernel) Present(family plan.Family) bool { return k.present[family] }

// Replace makes the tables anew, with nothing else in them. Which endpoints clients stay with (session affinity) is taken over from what was there.
func (k *Kernel) Replace(rulesets map[plan.Family]plan.Ruleset) error {
	err := k.unheard(func() error { return k.replace(rulesets) })
	for family := range rulesets {
		k.present[family] = err == nil
	}
	return err
}

func (k *Kernel) replace(rulesets map[plan.Family]plan.Ruleset) error {
	for family, ruleset := range rulesets {
		kept, err := k.affinity(family)
		if err != nil {
			return k.failed(err)
		}
		b := newBatch(k.conn, family)
		b.conn.AddTable(b.table) // so that there is one to delete
		b.conn.DelTable(b.table)
		b.conn.AddTable(b.table)
		b.declare()
		b.addChains(ruleset.Chains)
		b.add(ruleset.Elements)
		b.restore(kept)
		if b.err != nil {
			return k.failed(b.err)
		}
	}
	return k.flush()
}

// Apply changes tables that are there. After an error they are as they were, and have to be made anew: somebody else has changed them.
func (k *Kernel) Apply(changes [len(plan.Families)]plan.Change) error {
	for _, family := range plan.Families {
		change := &changes[family]
		if change.Empty() {
			continue
		}
		b := newBatch(k.conn, family)
		b.addChains(change.AddChains)
		b.remove(change.Delete)
		b.add(change.Add)
		for _, name := range change.DeleteChains {
			b.conn.DelChain(&nftables.Chain{Name: name, Table: b.table})
		}
		if b.err != nil {
			return k.failed(b.err)
		}
	}
	return k.flush()
}

// Remove deletes the tables of both families.
func (k *Kernel) Remove() error {
	for _, family := range plan.Families {
		if !Supports(family) {
			continue
		}
		table := tableOf(family)
		k.conn.AddTable(table)
		k.conn.DelTable(table)
		k.present[family] = false
	}
	return k.flush()
}

func (k *Kernel) flush() error {
	if err := k.conn.Flush(); err != nil {
		return k.failed(err)
	}
	return nil
}

// failed makes the next transaction begin afresh.
func (k *Kernel) failed(err error) error {
	return errors.Join(fmt.Errorf("nftables: %w", err), k.reopen())
}

var families = [...]nftables.TableFamily{plan.IPv4: nftables.TableFamilyIPv4, plan.IPv6: nftables.TableFamilyIPv6}

func tableOf(family plan.Family) *nftables.Table {
	return &nftables.Table{Name: TableName, Family: families[family]}
}
