package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// sizeLimit is how many bytes a file may have: more is not what it claims to be.
const sizeLimit = 4 << 20

// behaviour is an entry of the list, and the tests that show it.
type behaviour struct {
	TestName string `json:"testname"`
	CodeName string `json:"codename"` // begins with the group in brackets, such as "[sig-node] Pods ..."

	shared bool     // whether others have the same TestName
	tests  []string // places of the claims, as file:line
}

// group is the special interest group that the behaviour belongs to.
func (b *behaviour) group() string {
	group, _, found := strings.Cut(strings.TrimPrefix(b.CodeName, "["), "]")
	if !found {
		return "no group"
	}
	return group
}

// name is what a test calls the behaviour by.
func (b *behaviour) name() string {
	if b.shared {
		return b.CodeName
	}
	return b.TestName
}

// read returns the entries of the list in its order. An empty list, or an entry without its names, is an error.
func read(file string) ([]*behaviour, error) {
	text, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	var list []*behaviour
	if err := yaml.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no behaviours", file)
	}
	first := map[string]*behaviour{}
	for i, b := range list {
		if b == nil || b.TestName == "" || b.CodeName == "" {
			return nil, fmt.Errorf("%s: entry %d has no testname or no codename", file, i)
		}
		if other := first[b.TestName]; other != nil {
			other.shared, b.shared = true, true
			continue
		}
		first[b.TestName] = b
	}
	return list, nil
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, sizeLimit+1))
	if err == nil && len(text) > sizeLimit {
		err = fmt.Errorf("%s has more than %d bytes", file, sizeLimit)
	}
	return text, err
}
