package store_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/encrypt"
	"github.com/septet-io/septet/apiserver/store/storetest"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/resource"
)

// TestEncryptionAtRest: nothing readable lies in etcd, every server reads it, and after a change of keys a write that
// changes nothing writes anew, which is how `kubectl replace` moves all objects to the new key.
func TestEncryptionAtRest(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	configure := func(keys ...string) {
		t.Helper()
		text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [configmaps]\n  providers:\n  - aesgcm:\n      keys:\n"
		for _, name := range keys {
			secret := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(name[:1]), 32))
			text += "      - {name: " + name + ", secret: " + secret + "}\n"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("a")
	set, err := encrypt.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	member := startEtcd(t, etcd.Config{})
	open := func() store.Store {
		backend := store.Connect(store.BackendOptions{Client: member.Client(), Revision: member.Revision})
		t.Cleanup(backend.Stop)
		options := storetest.OptionsFor(storetest.ConfigMaps, backend)
		options.Transformer = set.For(schema.GroupResource{Resource: "configmaps"})
		return store.New(options)
	}
	stored := func() string {
		t.Helper()
		response, err := member.Client().Get(t.Context(), "/registry/configmaps/", clientv3.WithPrefix())
		if err != nil || len(response.Kvs) != 1 {
			t.Fatalf("%v, %v", response, err)
		}
		return string(response.Kvs[0].Value)
	}
	key := store.Key{Namespace: "default", Name: "x"}
	touch := func(s store.Store) bool {
		t.Helper()
		_, changed, err := s.Update(t.Context(), key, nil, false, func(current *store.Item) (resource.Object, time.Duration, error) {
			return current.Object.DeepCopyObject().(resource.Object), 0, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	one := open()
	if _, err := one.Create(t.Context(), key, storetest.ConfigMap("default", "x", "confidential"), 0); err != nil {
		t.Fatal(err)
	}
	if raw := stored(); !strings.HasPrefix(raw, "k8s:enc:aesgcm:v1:a:") || strings.Contains(raw, "confidential") {
		t.Fatalf("etcd has %q", raw)
	}
	for _, s := range []store.Store{one, open()} {
		item, err := s.Get(t.Context(), key, "")
		if err != nil || item.Object.(*corev1.ConfigMap).Data["value"] != "confidential" {
			t.Fatalf("%+v, %v", item, err)
		}
		if touch(s) {
			t.Fatal("a write that changes nothing was made")
		}
	}
	configure("b", "a")
	if err := set.Reload(); err != nil {
		t.Fatal(err)
	}
	if !touch(one) {
		t.Fatal("the object stays under the old key")
	}
	if raw := stored(); !strings.HasPrefix(raw, "k8s:enc:aesgcm:v1:b:") {
		t.Fatalf("etcd has %q", raw)
	}
	if touch(one) {
		t.Fatal("it was written again and again")
	}
}
