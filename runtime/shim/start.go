package main

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// start lets a created container run: its first process waits for somebody to read from exec.fifo.
func (c call) start() (verdict, string) {
	s, err := c.readState()
	if err != nil || !s.running() {
		return leave, ""
	}
	if s.Sandbox {
		return done, "" // pause has nothing to wait for
	}
	fifo := filepath.Join(c.dir(), "exec.fifo")
	if _, err := os.Lstat(fifo); err != nil {
		return leave, ""
	}
	read := make(chan bool, 1)
	go func() { read <- readFifo(fifo) }()
	for look := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case ok := <-read:
			look.Stop()
			if !ok || os.Remove(fifo) != nil {
				return leave, ""
			}
			return done, ""
		case <-look.C:
			if !s.running() {
				release(fifo)
			}
		}
	}
}

// release sets a reader free whose writer has died before it came to the fifo: a writer that leaves at once does.
func release(fifo string) {
	if f, err := os.OpenFile(fifo, os.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
		f.Close()
	}
}

// readFifo waits until the container's first process writes, and says if it did.
func readFifo(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	return err == nil && len(content) > 0
}
