package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// profile asks our server for a CPU profile of the load that follows, if profiles are wanted; what it returns waits for it.
func (b *bench) profile(name string, length time.Duration) (wait func()) {
	if b.profiles == "" || b.kind == "peer" {
		return func() {}
	}
	if length == 0 {
		length = b.phase
	}
	done := make(chan error, 1)
	go func() { done <- b.fetchProfile(name, max(1, int(length.Seconds()))) }()
	return func() {
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, "bench/apiserver: profile:", err)
		}
	}
}

func (b *bench) fetchProfile(name string, seconds int) error {
	c, err := b.dial()
	if err != nil {
		return err
	}
	defer c.close()
	var body []byte
	got, err := c.do(b.call("GET", "", "*/*"), fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), nil, func(part []byte) { body = append(body, part...) })
	if err == nil && got.status != 200 {
		err = fmt.Errorf("status %d: %s", got.status, body)
	}
	if err != nil {
		return err
	}
	file := strings.NewReplacer(" ", "-", ",", "", ":", "", "/", "-per-").Replace(b.kind + " " + name)
	return os.WriteFile(filepath.Join(b.profiles, file+".pprof"), body, 0o600)
}
