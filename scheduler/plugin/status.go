package plugin

import (
	"fmt"
	"strings"
)

// Code is the kind of answer a plugin gives.
type Code uint8

// The kinds, as upstream has them.
const (
	Success Code = iota
	// Error is an unexpected failure; the pod is tried again after a backoff.
	Error
	// Unschedulable: not now; evicting pods may help.
	Unschedulable
	// Unresolvable: evicting pods cannot help.
	Unresolvable
	// Wait is a Permit's answer that it will decide later.
	Wait
	// Skip: this plugin has nothing to say about this pod.
	Skip
	// Pending: refused until something outside happens; the pod then goes on without backoff.
	Pending
)

var codeNames = [...]string{"Success", "Error", "Unschedulable", "UnschedulableAndUnresolvable", "Wait", "Skip", "Pending"}

// String is upstream's name of the code.
func (c Code) String() string { return codeNames[c] }

// Rejected says whether the code means that the pod cannot go on, without being an error.
func (c Code) Rejected() bool { return c == Unschedulable || c == Unresolvable || c == Pending }

// Status is a plugin's answer. nil is Success.
type Status struct {
	Code    Code
	Reasons []string
	// Plugin is set by whoever called the plugin.
	Plugin string
	Err    error
}

// Reject returns a status that refuses.
func Reject(code Code, reasons ...string) *Status { return &Status{Code: code, Reasons: reasons} }

// Failed returns an error status.
func Failed(err error) *Status { return &Status{Code: Error, Err: err, Reasons: []string{err.Error()}} }

// SkipStatus is the status with Skip and nothing else.
var SkipStatus = &Status{Code: Skip}

// Is compares the code; nil is Success.
func (s *Status) Is(code Code) bool {
	if s == nil {
		return code == Success
	}
	return s.Code == code
}

// OK says whether the status is Success.
func (s *Status) OK() bool { return s == nil || s.Code == Success }

// Message joins the reasons.
func (s *Status) Message() string {
	if s == nil {
		return ""
	}
	return strings.Join(s.Reasons, ", ")
}

// AsError is nil for Success, and otherwise an error with the message.
func (s *Status) AsError() error {
	switch {
	case s.OK():
		return nil
	case s.Err != nil:
		return s.Err
	}
	return fmt.Errorf("%s", s.Message())
}
