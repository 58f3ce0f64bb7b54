package containerd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/septet-io/septet/cluster/carried"
)

// killPods kills the node's shims, which are known by the address of their containerd, and the containers' first
// processes, which runc's state files name; with those go all others of their PID namespaces.
func killPods(c Config) error {
	pids, err := shims(c.socket())
	if err != nil {
		return err
	}
	states, err := filepath.Glob(filepath.Join(c.StateDir, "r", "*", "*", "state.json"))
	if err != nil {
		return err
	}
	for _, file := range states {
		var state struct {
			PID     int    `json:"init_process_pid"`
			Started uint64 `json:"init_process_start"`
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(content, &state); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if started, err := startTime(state.PID); err == nil && started == strconv.FormatUint(state.Started, 10) {
			pids = append(pids, state.PID)
		}
	}
	return killAll(pids)
}

// shims are the processes with `-address <socket>` on their command line.
func shims(socket string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && bytes.Contains(line, []byte("\x00-address\x00"+socket+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// killAll kills processes and waits until they have ended, at most ten seconds.
func killAll(pids []int) error {
	deadline := time.Now().Add(10 * time.Second)
	var waiting []int
	for _, pid := range pids {
		descriptor, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // ended meanwhile
		}
		defer unix.Close(descriptor)
		waiting = append(waiting, descriptor)
		if err := unix.PidfdSendSignal(descriptor, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("killing process %d: %w", pid, err)
		}
	}
	for _, descriptor := range waiting {
		left := max(0, int(time.Until(deadline).Milliseconds()))
		poll := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, left); n == 0 && err == nil {
			return errors.New("a killed process does not end")
		}
	}
	return nil
}

// unmountBelow unmounts all that is mounted on or below some folders, the newest first.
func unmountBelow(dirs ...string) error {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		field := strings.Fields(lines.Text())
		if len(field) < 5 {
			continue
		}
		point := unescape(field[4])
		for _, dir := range dirs {
			if point == dir || strings.HasPrefix(point, dir+"/") {
				points = append(points, point)
			}
		}
	}
	slices.Reverse(points)
	for _, point := range points {
		if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	return nil
}

// unescape undoes the octal escapes of /proc/self/mountinfo (proc(5)).
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// purgeNetwork has the carried network plugin remove what it made for this node: bridge, rules and addresses.
func purgeNetwork(ctx context.Context, c Config) error {
	lists, err := filepath.Glob(filepath.Join(c.CNIConfDir, "*.conflist"))
	if err != nil || len(lists) == 0 {
		return err
	}
	bin, err := carried.Unpack(c.DataDir, programs...)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, carried.CNI), append([]string{"purge"}, lists...)...)
	cmd.Env = append(os.Environ(), c.cniData())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if c.NetNS != "" {
		if _, err := os.Stat(c.NetNS); errors.Is(err, fs.ErrNotExist) {
			return nil // the namespace took the network with it
		}
	}
	if err = inNetNS(c.NetNS, cmd.Start); err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}
