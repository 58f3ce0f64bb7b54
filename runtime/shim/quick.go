package main

import (
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containerd/go-runc"
)

// quick stands between the shim and the runc that it executes, and does itself what is simple:
//
//	create  of a pod's sandbox: start the pause program in its namespaces   (sandbox.go)
//	start   read the fifo that the container's first process waits at       (start.go)
//	kill    send a signal to a container's first process                    (kill.go)
//	delete  remove the cgroups and state of a container that has ended      (delete.go)
//
// Whatever is out of the ordinary (hooks, user namespaces, shared PID namespaces, errors of any kind) is left to runc,
// which then finds everything as it would have without quick: state is kept in runc's own files.
type quick struct {
	next runc.ProcessMonitor
}

// verdict is what came of an attempt.
type verdict int

const (
	leave  verdict = iota // nothing was done: execute runc
	done                  // as if runc had ended with 0
	failed                // as if runc had ended with 1, with a message
)

// Start begins a command, or does its work.
func (q quick) Start(cmd *exec.Cmd) (chan runc.Exit, error) {
	if ended, ok := q.try(cmd); ok {
		return ended, nil
	}
	return q.next.Start(cmd)
}

// StartLocked is Start for commands that are to die with the calling thread.
func (q quick) StartLocked(cmd *exec.Cmd) (chan runc.Exit, error) {
	if ended, ok := q.try(cmd); ok {
		return ended, nil
	}
	return q.next.StartLocked(cmd)
}

// Wait waits for a command's end. A command without a process was done by try, whose result is in the channel.
func (q quick) Wait(cmd *exec.Cmd, ended chan runc.Exit) (int, error) {
	if cmd.Process == nil {
		return (<-ended).Status, nil
	}
	return q.next.Wait(cmd, ended)
}

func (q quick) try(cmd *exec.Cmd) (chan runc.Exit, bool) {
	c, ok := parseCall(cmd.Args)
	if !ok {
		return nil, false
	}
	result, message := c.do()
	if result == leave {
		return nil, false
	}
	ended := make(chan runc.Exit, 1)
	if result == failed {
		if cmd.Stderr != nil {
			_, _ = io.WriteString(cmd.Stderr, message) // a buffer of the caller's
		}
		ended <- runc.Exit{Status: 1}
	} else {
		ended <- runc.Exit{}
	}
	return ended, true
}

// call is a runc command line.
type call struct {
	root    string // where runc keeps its state
	command string
	id      string
	rest    []string // arguments after the id

	bundle, pidFile string // create
	all             bool   // kill --all
	force           bool   // delete --force
	ignored         string
}

// parseCall understands the command lines that quick can do; false for all others.
func parseCall(args []string) (c call, ok bool) {
	if len(args) < 2 {
		return c, false
	}
	var positional []string
	for i := 1; i < len(args); i++ {
		if into := c.option(args[i]); into != nil {
			if i++; i == len(args) {
				return c, false
			}
			*into = args[i]
			continue
		}
		switch arg := args[i]; {
		case arg == "--all":
			c.all = true
		case arg == "--force":
			c.force = true
		case strings.HasPrefix(arg, "-"):
			return c, false // a terminal, a checkpoint, or something else that is rare
		default:
			positional = append(positional, arg)
		}
	}
	if len(positional) < 2 || c.root == "" {
		return c, false
	}
	c.command, c.id, c.rest = positional[0], positional[1], positional[2:]
	return c, c.id != "" && filepath.Base(c.id) == c.id
}

// option is where the value of an option goes; nil if the argument is not an option with a value.
func (c *call) option(name string) *string {
	switch name {
	case "--root":
		return &c.root
	case "--bundle":
		return &c.bundle
	case "--pid-file":
		return &c.pidFile
	case "--log", "--log-format":
		return &c.ignored
	}
	return nil
}

// do dispatches by command.
func (c call) do() (verdict, string) {
	switch c.command {
	case "create":
		return c.create()
	case "start":
		return c.start()
	case "kill":
		return c.kill()
	case "delete":
		return c.delete()
	}
	return leave, ""
}

// dir is the folder of the container's state.
func (c call) dir() string { return filepath.Join(c.root, c.id) }
