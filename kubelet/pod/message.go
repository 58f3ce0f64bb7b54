package pod

import (
	"bytes"
	"io"
	"os"
	"strings"

	v1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/cri"
)

// Bounds of termination messages: of a message file, of the log lines that stand
// in for one, and of all messages of a pod together.
const (
	maxMessage     = 4096
	maxLogMessage  = 2048
	maxLogLines    = 80
	maxPodMessages = 12 << 10
)

// readMessage completes a container that ended with its termination message: its
// file's, or for FallbackToLogsOnError the end of its log.
func readMessage(pod *v1.Pod, c *cri.Container) {
	if c.State != cri.Exited {
		return
	}
	limit := maxMessage
	if n := len(pod.Spec.Containers) + len(pod.Spec.InitContainers); n > 0 {
		limit = min(limit, maxPodMessages/n)
	}
	text := fileMessage(c.TerminationFile, limit)
	policy := v1.TerminationMessagePolicy(c.Annotations[cri.AnnotationTerminationPolicy])
	if text == "" && policy == v1.TerminationMessageFallbackToLogsOnError && c.ExitCode != 0 && c.Reason != "ContainerCannotRun" {
		text = logMessage(c.LogPath, min(limit, maxLogMessage))
	}
	if c.Message != "" && text != "" {
		c.Message += ": "
	}
	c.Message += text
}

// fileMessage returns the start of a message file; nothing if there is none.
func fileMessage(path string, limit int) string {
	if path == "" {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, int64(limit)))
	if err != nil {
		return "Error on reading termination message: " + err.Error()
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}

// logMessage returns the last lines of a log, without the runtime's prefixes.
func logMessage(path string, limit int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	// Each line carries a time, a stream and a tag, at most some 50 bytes, besides
	// its text.
	from := max(info.Size()-int64(limit)-50*maxLogLines, 0)
	raw := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(raw, from); err != nil && err != io.EOF {
		return "Error on reading termination message from logs: " + err.Error()
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	if from > 0 && len(lines) > 0 {
		lines = lines[1:] // cut in the middle
	}
	if len(lines) > maxLogLines+1 {
		lines = lines[len(lines)-maxLogLines-1:]
	}
	var out []byte
	for _, line := range lines {
		out = append(out, content(line)...)
	}
	if len(out) > limit {
		out = out[len(out)-limit:]
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// content is a log line's text: "<time> <stream> <tag> <text>\n". One that the
// runtime cut (tag P) continues in the next.
func content(line []byte) []byte {
	parts := bytes.SplitN(line, []byte(" "), 4)
	if len(parts) < 4 {
		return nil
	}
	if bytes.HasPrefix(parts[2], []byte("P")) {
		return bytes.TrimSuffix(parts[3], []byte("\n"))
	}
	return parts[3]
}
