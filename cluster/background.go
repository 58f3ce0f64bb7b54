package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// startWithin is how long a server in the background may take to become ready.
const startWithin = 60 * time.Second

// detach starts the same command again, without --background, as a process of its own that writes to the log file, and
// waits until it is ready.
func (o *Options) detach(ctx context.Context) error {
	if err := o.completeServer(); err != nil {
		return err
	}
	p := paths{o.DataDir, o.NodeName}
	if pid, err := runningPID(p); err == nil && pid != 0 {
		fmt.Printf("A server is running already (process %d).\n", pid)
		return nil
	}
	if err := os.MkdirAll(o.DataDir, 0o711); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool {
		return strings.HasPrefix(strings.TrimLeft(a, "-"), "background")
	})
	child := exec.Command(self, args...)
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	began := time.Now()
	if err := o.awaitReady(ctx, p, child.Process.Pid, ended); err != nil {
		return fmt.Errorf("%w; its log is %s%s", err, p.log(), lastWords(p.log()))
	}
	fmt.Printf("The server is ready after %d ms (process %d, log %s).\n", time.Since(began).Milliseconds(), child.Process.Pid, p.log())
	return child.Process.Release()
}

// lastWords is the end of a log, set off from what stands before it: why its process ended. Empty where nothing can be read.
func lastWords(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "\n" + lines[len(lines)-1]
}

// awaitReady asks for /readyz until it says ok, and the process with that pid is the one that says it: another server may have the port.
func (o *Options) awaitReady(ctx context.Context, p paths, pid int, ended <-chan error) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // health is for everybody, and the authority may not be there yet
	}}}
	deadline := time.After(startWithin)
	for {
		if response, err := client.Get(o.localURL() + "/readyz"); err == nil {
			response.Body.Close()
			running, err := runningPID(p)
			if response.StatusCode == http.StatusOK && err == nil && running == pid {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return fmt.Errorf("the server ended: %v", err) // not wrapped: an exit status alone would tell nobody anything
		case <-deadline:
			return fmt.Errorf("the server is not ready after %s", startWithin)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
