package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/request"
)

func resourceOf(s *request.State) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: s.Group, Version: s.Version, Resource: s.Resource}
}

// trace makes a span of the request.
func (s *Server) trace(c *call) (bool, error) {
	if s.config.Tracer == nil {
		return false, nil
	}
	traced, end := s.config.Tracer.Begin(c.r, &c.state)
	c.r = traced
	c.after = append(c.after, func() { end(c.recorder.code) })
	return false, nil
}

// audit lets the auditor note the request.
func (s *Server) audit(c *call) (bool, error) {
	if s.config.Audit == nil {
		return false, nil
	}
	record, err := s.config.Audit.Begin(&c.recorder, c.r, &c.state, longRunning(&c.state.Info))
	if record != nil {
		c.state.Record, c.recorder.record = record, record
		c.after = append(c.after, func() { record.Finished(c.recorder.code, c.cause) })
	}
	return false, err
}

// auditStranger notes a request of somebody whom nobody knows: one event, when the answer begins.
func (s *Server) auditStranger(c *call) error {
	if s.config.Audit == nil {
		return nil
	}
	record, err := s.config.Audit.Begin(&c.recorder, c.r, &c.state, true)
	if record != nil {
		c.recorder.record = record
	}
	return err
}

// flow waits until it is the request's turn.
func (s *Server) flow(c *call) (bool, error) {
	if s.config.Flow == nil || exempt(&c.state) {
		return false, nil
	}
	began := time.Now()
	ticket, admitted := s.config.Flow.Enter(&c.recorder, c.r, &c.state)
	c.state.Exclude(time.Since(began))
	c.state.Ticket, c.dropped = ticket, !admitted
	return !admitted, nil
}

// exempt are connections, which nothing can be said about in advance.
func exempt(s *request.State) bool { return s.Verb != "watch" && longRunning(&s.Info) }

// cors lets browsers of allowed origins read answers.
func (s *Server) cors(c *call) (bool, error) {
	if len(s.origins) == 0 {
		return false, nil
	}
	origin := c.r.Header.Get("Origin")
	if origin == "" || !matchesAny(s.origins, origin) {
		return false, nil
	}
	header := c.recorder.Header()
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE, PATCH")
	header.Set("Access-Control-Allow-Headers", "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With, If-Modified-Since")
	header.Set("Access-Control-Expose-Headers", "Date")
	header.Set("Access-Control-Allow-Credentials", "true")
	if c.r.Method == http.MethodOptions {
		c.recorder.WriteHeader(http.StatusNoContent)
		return true, nil
	}
	return false, nil
}

func matchesAny(patterns []*regexp.Regexp, text string) bool {
	for _, p := range patterns {
		if p.MatchString(text) {
			return true
		}
	}
	return false
}

// compileOrigins reads the patterns of allowed origins. Each must hold on to both ends of the host: else "example.com" would let
// "example.com.evil.org" read answers as well. As upstream, it is enough that the signs for that are there.
func compileOrigins(patterns []string) ([]*regexp.Regexp, error) {
	var compiled []*regexp.Regexp
	for _, pattern := range patterns {
		if pattern == "" {
			return nil, errors.New("--cors-allowed-origins: empty value")
		}
		p, err := regexp.Compile(pattern)
		if err == nil && (!strings.Contains(pattern, "^") && !strings.Contains(pattern, "//") || !strings.ContainsAny(pattern, "$:")) {
			err = errors.New(`regular expression does not pin to start/end of host in the origin header; valid is '//example\.com(:|$)'`)
		}
		if err != nil {
			return nil, fmt.Errorf("--cors-allowed-origins: %q: %w", pattern, err)
		}
		compiled = append(compiled, p)
	}
	return compiled, nil
}
