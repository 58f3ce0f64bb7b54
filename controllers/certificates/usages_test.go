package certificates

import (
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// The messages are those that upstream writes into the condition Failed.
func TestUsages(t *testing.T) {
	t.Parallel()
	const (
		signature = certificatesv1.UsageDigitalSignature
		cipher    = certificatesv1.UsageKeyEncipherment
		client    = certificatesv1.UsageClientAuth
		server    = certificatesv1.UsageServerAuth
	)
	type usages = []certificatesv1.KeyUsage
	node := func(u usages) error { return nodeUsages(u, client) }
	const notNode = "usages did not match [client auth digital signature key encipherment]"
	for _, test := range []struct {
		check  func(usages) error
		usages usages
		want   string
	}{
		{clientUsages, usages{client}, ""}, {clientUsages, usages{cipher, client, signature}, ""},
		{clientUsages, usages{client, server}, "invalid usage for client certificate: server auth"},
		{clientUsages, usages{signature}, "missing required usage for client certificate: client auth"},
		{node, usages{signature, client}, ""}, {node, usages{signature, cipher, client}, ""},
		{node, usages{client}, notNode}, {node, usages{signature, client, server}, notNode}, {node, usages{signature, cipher}, notNode},
	} {
		got := ""
		if err := test.check(test.usages); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v: %q, want %q", test.usages, got, test.want)
		}
	}
}
