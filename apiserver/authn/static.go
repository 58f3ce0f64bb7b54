package authn

import (
	"context"
	"crypto/subtle"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/septet-io/septet/resource"
)

// StaticTokens are those of --token-auth-file: lines of token,user,uid and optionally a quoted list of groups.
type StaticTokens map[string]resource.User

// LoadStaticTokens reads a token file. Every error names the file and the line.
func LoadStaticTokens(file string) (StaticTokens, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	defer f.Close()
	reader := csv.NewReader(f)
	reader.FieldsPerRecord = -1
	tokens := StaticTokens{}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return tokens, nil
		}
		if err != nil {
			return nil, fmt.Errorf("token file %s: %w", file, err)
		}
		line, _ := reader.FieldPos(0)
		if len(record) < 3 {
			return nil, fmt.Errorf("token file %s: line %d has %d columns, at least token, user name and user uid are needed", file, line, len(record))
		}
		token := strings.TrimSpace(record[0])
		if token == "" {
			return nil, fmt.Errorf("token file %s: line %d has an empty token", file, line)
		}
		if _, taken := tokens[token]; taken {
			return nil, fmt.Errorf("token file %s: line %d repeats a token", file, line)
		}
		user := resource.User{Name: record[1], UID: record[2]}
		if len(record) > 3 && record[3] != "" {
			user.Groups = strings.Split(record[3], ",")
		}
		tokens[token] = user
	}
}

// Token is Tokens. Every token is compared in constant time.
func (s StaticTokens) Token(_ context.Context, token string, _ []string) (*Identity, error) {
	var found *Identity
	for known, user := range s {
		if subtle.ConstantTimeCompare([]byte(known), []byte(token)) == 1 {
			found = &Identity{User: user}
		}
	}
	return found, nil
}
