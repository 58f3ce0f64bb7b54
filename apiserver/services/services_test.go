package services

import (
	"math/big"
	"net/netip"
	"testing"
)

func TestRangesOfAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		prefix      string
		size        uint64
		reserved    uint64
		first, last string
	}{
		{"10.96.0.0/24", 254, 16, "10.96.0.1", "10.96.0.254"},
		{"10.96.0.0/16", 65534, 256, "10.96.0.1", "10.96.255.254"},
		{"10.96.0.0/29", 6, 0, "10.96.0.1", "10.96.0.6"},
		{"fd00:96::/112", 65535, 256, "fd00:96::1", "fd00:96::ffff"},
		{"10.96.0.0/32", 0, 0, "", ""},
	} {
		prefix := netip.MustParsePrefix(test.prefix)
		size := sizeOf(prefix)
		if size != test.size || reservedOf(size) != test.reserved {
			t.Errorf("%s: size %d, reserved %d", prefix, size, reservedOf(size))
		}
		if size > 0 && (nth(prefix, 1).String() != test.first || nth(prefix, size).String() != test.last) {
			t.Errorf("%s: from %s to %s", prefix, nth(prefix, 1), nth(prefix, size))
		}
	}
}

func TestRangesOfPorts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int32{
		"": {30000, 32767}, "1-2": {1, 2}, "30000+10": {30000, 30010}, "80-80": {80, 80},
		"2-1": {}, "0-10": {}, "1-70000": {}, "65000+1000": {}, "x": {}, "-": {}, "1-x": {},
	} {
		first, last, err := parseRange(text)
		if got := [2]int32{first, last}; got != want || (err != nil) != (want == [2]int32{}) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestEveryPortIsFoundOnce(t *testing.T) {
	t.Parallel()
	p, bits, seen := &ports{first: 30000, last: 30009}, new(big.Int), map[int32]bool{}
	for range 10 {
		port, ok := p.free(bits)
		if !ok || seen[port] || port < p.first || port > p.last {
			t.Fatalf("port %d, %v; had %v", port, ok, seen)
		}
		seen[port] = true
		bits.SetBit(bits, int(port-p.first), 1)
	}
	if port, ok := p.free(bits); ok {
		t.Errorf("port %d of a full range", port)
	}
}
