package encrypt

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/secretbox"
)

// cryptor is an algorithm with one key. It need not be authenticated (aescbc is not).
type cryptor interface {
	seal(prefix string, authenticated, data []byte) ([]byte, error)
	open(authenticated, data []byte) ([]byte, error)
}

// keyed is a provider with named keys: <prefix><name>:<data>.
type keyed struct {
	prefix   []byte
	prefixes []string // with the name, by key
	cryptors []cryptor
}

func (k KeysConfiguration) build(prefix string, algorithm func(key []byte) (cryptor, error)) (provider, error) {
	made := &keyed{prefix: []byte(prefix)}
	for _, key := range k.Keys {
		secret, err := base64.StdEncoding.DecodeString(key.Secret)
		if err != nil {
			return nil, fmt.Errorf("key %s is not base64", key.Name)
		}
		c, err := algorithm(secret)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key.Name, err)
		}
		made.prefixes = append(made.prefixes, prefix+key.Name+":")
		made.cryptors = append(made.cryptors, c)
	}
	return made, nil
}

func (k *keyed) reads(data []byte) bool { return bytes.HasPrefix(data, k.prefix) }

func (k *keyed) seal(_ context.Context, authenticated, data []byte) ([]byte, error) {
	return k.cryptors[0].seal(k.prefixes[0], authenticated, data)
}

func (k *keyed) open(_ context.Context, authenticated, data []byte) ([]byte, bool, error) {
	for i, prefix := range k.prefixes {
		if rest, ok := bytes.CutPrefix(data, []byte(prefix)); ok {
			out, err := k.cryptors[i].open(authenticated, rest)
			return out, i > 0, err
		}
	}
	return nil, false, errNoProvider
}

var (
	aesSizes     = []int{16, 24, 32}
	errTruncated = errors.New("encrypted data is too short")
)

const secretboxSize = 32

// gcm is AES-GCM with a random nonce in front.
type gcm struct{ cipher.AEAD }

func newGCM(key []byte) (cryptor, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return gcm{aead}, err
}

func (g gcm) seal(prefix string, authenticated, data []byte) ([]byte, error) {
	n := len(prefix) + g.NonceSize()
	out := make([]byte, n, n+len(data)+g.Overhead())
	copy(out, prefix)
	nonce := out[len(prefix):]
	rand.Read(nonce) // never fails
	return g.Seal(out, nonce, data, authenticated), nil
}

func (g gcm) open(authenticated, data []byte) ([]byte, error) {
	if len(data) < g.NonceSize() {
		return nil, errTruncated
	}
	return g.Open(nil, data[:g.NonceSize()], data[g.NonceSize():], authenticated)
}

// cbc is AES-CBC with a random first block and PKCS #7 padding. It authenticates nothing; it is here to read old data.
type cbc struct{ cipher.Block }

func newCBC(key []byte) (cryptor, error) {
	block, err := aes.NewCipher(key)
	return cbc{block}, err
}

func (c cbc) seal(prefix string, _, data []byte) ([]byte, error) {
	padding := aes.BlockSize - len(data)%aes.BlockSize
	out := make([]byte, len(prefix)+aes.BlockSize+len(data)+padding)
	copy(out, prefix)
	iv, body := out[len(prefix):len(prefix)+aes.BlockSize], out[len(prefix)+aes.BlockSize:]
	rand.Read(iv) // never fails
	copy(body, data)
	for i := len(data); i < len(body); i++ {
		body[i] = byte(padding)
	}
	cipher.NewCBCEncrypter(c, iv).CryptBlocks(body, body)
	return out, nil
}

func (c cbc) open(_, data []byte) ([]byte, error) {
	if len(data) < 2*aes.BlockSize || len(data)%aes.BlockSize != 0 {
		return nil, errTruncated
	}
	iv, body := data[:aes.BlockSize], bytes.Clone(data[aes.BlockSize:])
	cipher.NewCBCDecrypter(c, iv).CryptBlocks(body, body)
	padding := int(body[len(body)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errPadding
	}
	for _, b := range body[len(body)-padding:] {
		if int(b) != padding {
			return nil, errPadding
		}
	}
	return body[:len(body)-padding], nil
}

var errPadding = errors.New("invalid padding on input")

// box is NaCl's secretbox (XSalsa20 and Poly1305) with a random nonce in front.
type box struct{ key [secretboxSize]byte }

const boxNonce = 24

func newSecretbox(key []byte) (cryptor, error) {
	b := &box{}
	if copy(b.key[:], key) != secretboxSize || len(key) != secretboxSize {
		return nil, fmt.Errorf("must have %d bytes", secretboxSize)
	}
	return b, nil
}

func (b *box) seal(prefix string, _, data []byte) ([]byte, error) {
	out := make([]byte, len(prefix)+boxNonce, len(prefix)+boxNonce+len(data)+secretbox.Overhead)
	copy(out, prefix)
	rand.Read(out[len(prefix):]) // never fails
	nonce := [boxNonce]byte(out[len(prefix):])
	return secretbox.Seal(out, data, &nonce, &b.key), nil
}

func (b *box) open(_, data []byte) ([]byte, error) {
	if len(data) < boxNonce+secretbox.Overhead {
		return nil, errTruncated
	}
	nonce := [boxNonce]byte(data[:boxNonce])
	out, ok := secretbox.Open(nil, data[boxNonce:], &nonce, &b.key)
	if !ok {
		return nil, errors.New("secretbox: message authentication failed")
	}
	return out, nil
}
