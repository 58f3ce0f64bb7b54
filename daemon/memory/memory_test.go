package memory

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	t.Parallel()
	const mega = 1 << 20
	var trim trimmer
	for i, step := range []struct {
		allocated uint64
		want      bool
	}{
		{100 * mega, false}, // the start
		{101 * mega, true},  // has come to rest
		{102 * mega, false}, // nothing new
		{300 * mega, false}, // a burst
		{500 * mega, false}, // goes on
		{503 * mega, true},
		{504 * mega, false},
	} {
		if got := trim.due(step.allocated); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	if first := allocated(); first == 0 || allocated() < first {
		t.Errorf("allocated: %d, then %d", first, allocated())
	}
}

// TestTheProgramRunsOn without the pages of its own code and constants.
func TestTheProgramRunsOn(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the pages of a program are known on Linux")
	}
	before := residentFile(t)
	unmapProgram()
	DropConstants()
	after := residentFile(t)
	if after == "" || before == "" {
		t.Errorf("resident pages of files: %q, then %q", before, after)
	}
	t.Logf("resident pages of files: %s, then %s", before, after)
}

func residentFile(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
