package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/cluster/carried"
)

// process is a running containerd, our child or an adopted one.
type process struct {
	// The identity in the pid file: a number alone may have been given to another process meanwhile.
	PID     int    `json:"pid"`
	Started string `json:"started"` // clock ticks after boot
	Config  string `json:"config"`  // digest of the configuration and programs it was started with

	ended chan struct{} // closed when the process has ended
}

// adoptOrStart finds the node's containerd. One that runs with another configuration, or does not answer, is replaced.
func (r *Runtime) adoptOrStart(ctx context.Context) (*process, error) {
	log := klog.FromContext(ctx)
	old, err := r.find()
	if err != nil {
		return nil, err
	}
	if old != nil {
		if old.Config == r.want && r.answers(ctx) == nil {
			log.V(1).Info("Adopted the running containerd", "node", r.config.NodeName, "pid", old.PID)
			return old, nil
		}
		log.V(1).Info("Replacing a containerd of another version or configuration", "node", r.config.NodeName, "pid", old.PID)
		if err := old.terminate(ctx); err != nil {
			return nil, err
		}
	}
	return r.launch(ctx)
}

// find returns the process that the pid file stands for, or nil if that has ended.
func (r *Runtime) find() (*process, error) {
	content, err := os.ReadFile(r.config.pidFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	p := &process{ended: make(chan struct{})}
	if err := json.Unmarshal(content, p); err != nil {
		return nil, nil // cut short by a power failure, which has ended the process too
	}
	descriptor, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return nil, nil
	}
	if started, err := startTime(p.PID); err != nil || started != p.Started {
		unix.Close(descriptor)
		return nil, nil
	}
	go func() {
		defer unix.Close(descriptor)
		defer close(p.ended)
		for { // a pidfd becomes readable when its process ends
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	return p, nil
}

// launch starts containerd and waits for its word that it serves. It gets a session of its own, for it is to outlive us.
func (r *Runtime) launch(ctx context.Context) (*process, error) {
	ready, err := listenReady(filepath.Join(r.config.StateDir, "ready"))
	if err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	defer ready.close()
	log, err := os.OpenFile(r.config.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	defer log.Close()
	begin, err := log.Seek(0, 2)
	if err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	if err := r.unpacking.Await(carried.Containerd); err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	cmd, err := r.begin(log, ready.path)
	for deadline := time.Now().Add(busyFor); errors.Is(err, syscall.ETXTBSY) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
		cmd, err = r.begin(log, ready.path)
	}
	if err != nil {
		return nil, fmt.Errorf("containerd: %w", err)
	}
	p := &process{PID: cmd.Process.Pid, Config: r.want, ended: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.ended)
	}()
	if err = r.remember(p); err == nil {
		err = ready.wait(ctx, p.ended)
	}
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("containerd: did not start: %w%s", err, logTail(r.config.log(), begin))
	}
	return p, nil
}

// busyFor is how long a program that was just written may be busy: a process that was forked meanwhile has it open until it becomes
// another program.
const busyFor = time.Second

// begin starts the program.
func (r *Runtime) begin(log *os.File, notify string) (*exec.Cmd, error) {
	cmd := exec.Command(filepath.Join(r.bin, carried.Containerd), "--config", r.config.config(), "--log-file", r.config.log())
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify, "PATH="+r.bin+":"+os.Getenv("PATH"), r.config.cniData())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, inNetNS(r.config.NetNS, cmd.Start)
}

// remember writes the pid file, for find.
func (r *Runtime) remember(p *process) (err error) {
	if p.Started, err = startTime(p.PID); err != nil {
		return err
	}
	content, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return replaceFile(r.config.pidFile(), content)
}

// terminate ends the process: asked first, killed after ten seconds.
func (p *process) terminate(ctx context.Context) error {
	if err := unix.Kill(p.PID, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("containerd: ending process %d: %w", p.PID, err)
	}
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.kill()
	case <-ctx.Done():
		p.kill()
	}
	return nil
}

func (p *process) kill() {
	_ = unix.Kill(p.PID, unix.SIGKILL) // it may have ended by itself, which is as good
	<-p.ended
}

// startTime is field 22 of /proc/<pid>/stat (proc(5)). The second field may hold spaces; it ends with the last bracket.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}

// lockFile takes an exclusive lock that ends with this process, or fails at once.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return f, nil
}

// logTail is what containerd wrote to its log since begin, at most 2,000 bytes of it, for an error message.
func logTail(name string, begin int64) string {
	content, err := os.ReadFile(name)
	if err != nil || int64(len(content)) <= begin {
		return ""
	}
	content = content[max(begin, int64(len(content))-2000):]
	return "\n" + strings.TrimSpace(string(content))
}
