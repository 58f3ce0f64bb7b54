package request

import (
	"strings"
	"unicode/utf8"
)

// warningHeader writes a text as an HTTP Warning of code 299 without an agent (RFC 7234 section 5.5).
func warningHeader(text string) string {
	var b strings.Builder
	b.Grow(len(text) + 10)
	b.WriteString(`299 - "`)
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == utf8.RuneError || r < ' ' && r != '\t' || r == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
