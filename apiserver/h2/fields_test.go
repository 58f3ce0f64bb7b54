package h2

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// decoded is what a client makes of the encoded fields.
func decoded(t *testing.T, d *hpack.Decoder, o *output) []string {
	t.Helper()
	fields, err := d.DecodeFull(o.block.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range fields {
		all = append(all, fmt.Sprintf("%s: %.20s", f.Name, f.Value))
	}
	slices.Sort(all)
	return all
}

// TestFields: what a header may not say is left out, the rest can be read, also after the client has changed its table.
func TestFields(t *testing.T) {
	t.Parallel()
	var o output
	o.init()
	d := hpack.NewDecoder(4096, nil)
	long := strings.Repeat("l", maxLiteral+1)
	for _, one := range []struct {
		status int
		resize int // of the table before; 0: none
		header http.Header
		want   string
	}{
		{200, 0, nil, "[:status: 200]"},
		{404, 0, http.Header{"Audit-Id": {"1"}, "X-A": {"1", "2"}}, "[:status: 404 audit-id: 1 x-a: 1 x-a: 2]"},
		{200, 0, http.Header{"Etag": {long}}, "[:status: 200 etag: llllllllllllllllllll]"},
		{200, 0, http.Header{"Connection": {"close"}, "Keep-Alive": {"1"}, "Transfer-Encoding": {"chunked"}, "Upgrade": {"x"}, "Proxy-Connection": {"x"}}, "[:status: 200]"},
		{200, 0, http.Header{"X Y": {"1"}, "X-Split": {"a\r\nset-cookie: b"}, "": {"1"}, http.TrailerPrefix + "T": {"1"}, "X-Fine": {""}}, "[:status: 200 x-fine: ]"},
		{200, 0, http.Header{"Date": {"a\nb"}}, "[:status: 200]"},
		{200, 100, http.Header{"X-A": {"1"}}, "[:status: 200 x-a: 1]"},
		{200, 0, http.Header{"X-A": {"1"}}, "[:status: 200 x-a: 1]"},
	} {
		if one.resize > 0 {
			o.encoder.SetMaxDynamicTableSize(uint32(one.resize))
			o.resized = true
		}
		o.status(one.status)
		o.fields(one.header)
		if got := fmt.Sprint(decoded(t, d, &o)); got != one.want {
			t.Errorf("%v: %s, want %s", one.header, got, one.want)
		}
	}
}
