package store

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
)

// token is where the next page of a list begins. Its form is upstream's, so that a client may go on with another server.
type token struct {
	// revision of the list; -1: the latest, for a list that may be inconsistent.
	revision int64
	start    Key
}

type tokenJSON struct {
	Version  string `json:"v"`
	Revision int64  `json:"rv"`
	// Start is the key below that of the list: without namespace when the list is of one namespace.
	Start string `json:"start"`
}

const tokenVersion = "meta.k8s.io/v1"

// newToken begins after a key.
func newToken(namespace string, last Key, revision int64) string {
	return newTokenAt(namespace, Key{last.Namespace, last.Name + "\x00"}, revision)
}

func newTokenAt(namespace string, start Key, revision int64) string {
	path := start.Name
	if namespace == "" && start.Namespace != "" {
		path = start.Namespace + "/" + start.Name
	}
	data, _ := json.Marshal(tokenJSON{tokenVersion, revision, path}) // strings and a number: cannot fail
	return base64.RawURLEncoding.EncodeToString(data)
}

func parseToken(s, namespace string) (token, error) {
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return token{}, fmt.Errorf("continue key is not valid: %w", err)
	}
	var t tokenJSON
	if err := json.Unmarshal(data, &t); err != nil {
		return token{}, fmt.Errorf("continue key is not valid: %w", err)
	}
	if t.Version != tokenVersion {
		return token{}, fmt.Errorf("continue key is not valid: server does not recognize this encoded version %s", t.Version)
	}
	if t.Revision == 0 {
		return token{}, errors.New("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
	}
	if t.Start == "" {
		return token{}, errors.New("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")
	}
	// The key goes into an etcd range: it must not climb out of the kind.
	if cleaned := path.Clean("/" + t.Start); cleaned != "/"+t.Start {
		return token{}, fmt.Errorf("continue key is not valid: %s", t.Start)
	}
	key := Key{Namespace: namespace, Name: t.Start}
	if before, after, ok := strings.Cut(t.Start, "/"); ok {
		if namespace != "" {
			return token{}, errors.New("continue key is not valid")
		}
		key = Key{Namespace: before, Name: after}
	}
	return token{max(t.Revision, -1), key}, nil
}
