package spec

import (
	"fmt"
	"strings"
)

// ParseEnvFile reads the format of env files (KEP-3721), a strict subset of what
// a POSIX shell reads: NAME='value' lines, the value in single quotes and taken
// as it stands, maybe over several lines; blank lines and lines that start with
// # are skipped; a later assignment of a name wins.
func ParseEnvFile(text string) (map[string]string, error) {
	vars := map[string]string{}
	for number := 1; text != ""; number++ {
		line, rest, _ := strings.Cut(text, "\n")
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			text = rest
			continue
		}
		name, value, ok := strings.Cut(text, "=")
		name = strings.TrimLeft(name, " \t")
		if !ok || strings.ContainsAny(name, " \t\n") || !validName(name) {
			return nil, fmt.Errorf("line %d: expected NAME='value'", number)
		}
		if !strings.HasPrefix(value, "'") {
			return nil, fmt.Errorf("line %d: value of %s must be enclosed in single quotes", number, name)
		}
		content, after, closed := strings.Cut(value[1:], "'")
		if !closed {
			return nil, fmt.Errorf("line %d: the quote of %s is never closed", number, name)
		}
		tail, rest, _ := strings.Cut(after, "\n")
		if tail = strings.TrimSpace(tail); tail != "" && !strings.HasPrefix(tail, "#") {
			return nil, fmt.Errorf("line %d: unexpected %q after the value of %s", number, tail, name)
		}
		vars[name] = content
		number += strings.Count(content, "\n")
		text = rest
	}
	return vars, nil
}
