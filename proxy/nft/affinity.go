package nft

import (
	"errors"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/septet-io/septet/proxy/plan"
)

// affinity reads which clients stay with which endpoints; nothing if there is no such map, or one of another shape.
func (k *Kernel) affinity(family plan.Family) ([]nftables.SetElement, error) {
	table := tableOf(family)
	want := sets(table, family)[plan.Affinity]
	have, err := k.conn.GetSetByName(table, want.Name)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if have.KeyType.Bytes != want.KeyType.Bytes || have.DataType.Bytes != want.DataType.Bytes {
		return nil, nil
	}
	elements, err := k.conn.GetSetElements(want)
	if err != nil {
		return nil, err
	}
	kept := elements[:0]
	for _, element := range elements {
		if element.Expires > 0 && len(element.Val) == int(want.DataType.Bytes) {
			// What is left of its time; the client's next connection gives it the whole again.
			kept = append(kept, nftables.SetElement{Key: element.Key, Val: element.Val, Timeout: element.Expires})
		}
	}
	return kept, nil
}

// restore puts remembered clients back.
func (b *batch) restore(elements []nftables.SetElement) {
	for len(elements) > 0 {
		n := min(len(elements), perMessage)
		if err := b.conn.SetAddElements(b.sets[plan.Affinity], elements[:n]); err != nil && b.err == nil {
			b.err = err
		}
		elements = elements[n:]
	}
}
