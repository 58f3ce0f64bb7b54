package h2

import (
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// statusOK is ":status: 200" in HPACK's static table.
const statusOK = 0x80 | 8

// status begins a header.
func (o *output) status(code int) {
	o.block.Reset()
	if code == http.StatusOK && !o.resized {
		o.block.WriteByte(statusOK)
		return
	}
	o.field(":status", strconv.Itoa(code))
	o.resized = false
}

func (o *output) field(name, value string) {
	_ = o.encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) // into memory
}

// literal is field for a value that does not come again: looking for it, and keeping it in place of others, is for nothing.
func (o *output) literal(name, value string) {
	if len(name) > maxLiteral || len(value) > maxLiteral {
		o.field(name, value)
		return
	}
	o.block.WriteByte(0) // RFC 7541 section 6.2.2: a literal without indexing, with a new name
	o.block.WriteByte(byte(len(name)))
	o.block.WriteString(name)
	o.block.WriteByte(byte(len(value)))
	o.block.WriteString(value)
}

// maxLiteral is the longest string whose length is one byte.
const maxLiteral = 1<<7 - 2

// fields encodes those of a header that may be sent; nothing in them can end the header early.
func (o *output) fields(h http.Header) {
	for key, values := range h {
		switch key {
		case "Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade":
			continue
		}
		name, write := lower(key), o.field
		if !httpguts.ValidHeaderFieldName(name) || strings.HasPrefix(key, http.TrailerPrefix) {
			continue
		}
		switch key {
		case "Audit-Id", "Content-Length", "Date", "Etag", "Last-Modified":
			write = o.literal
		}
		for _, value := range values {
			if httpguts.ValidHeaderFieldValue(value) {
				write(name, value)
			}
		}
	}
}

// interim sends a header of 1xx.
func (o *output) interim(stream uint32, status int, h http.Header) {
	o.status(status)
	o.fields(h)
	o.headers(stream, false)
}
