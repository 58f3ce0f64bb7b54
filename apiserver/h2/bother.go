package h2

import (
	"time"

	"golang.org/x/net/http2"
)

// bother counts frames that cost the server work and carry no part of a request: an attacker sends nothing else (CVE-2019-9512 to 9518,
// CVE-2023-44487). So many in so short a time end the connection. Clients acknowledge what they get, so each frame of data that
// was sent to them pays for some.
type bother struct {
	n     int
	since time.Time
}

const (
	mostBother    = 20_000
	botherTime    = 10 * time.Second
	paid          = 4
	refusedStream = 10 // a header to read, and an answer
	newSettings   = 10 // each stream may have to look at its window
)

// bear counts a frame.
func (c *conn) bear(frame http2.Frame) error {
	weight := 1
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		return nil // a request, of which there are only so many at a time
	case *http2.DataFrame:
		if len(f.Data()) > 0 || f.StreamEnded() {
			return nil
		}
	case *http2.SettingsFrame:
		weight = newSettings
	}
	if c.bother.n+weight < mostBother {
		c.bother.n += weight
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bother.add(weight, &c.out)
}

// add counts, with conn.mu held.
func (b *bother) add(weight int, o *output) error {
	if b.n += weight; b.n < mostBother {
		return nil
	}
	b.n = max(0, b.n-paid*o.frames)
	o.frames = 0
	if b.n < mostBother {
		return nil
	}
	if now := time.Now(); now.Sub(b.since) > botherTime {
		b.n, b.since = 0, now
		return nil
	}
	return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
}
