package encrypt

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kmsv2 "k8s.io/kms/apis/v2"
)

// kms encrypts with keys made here, from seeds that only the plug-in can open (KMS v2). One seed serves until the plug-in
// names another key; each object gets a key of its own from it, so a seed may be used for any number of objects:
//
//	k8s:enc:kms:v2:<name>:EncryptedObject{ 32 bytes of derivation info | nonce | AES-GCM, key id, encrypted seed }
type kms struct {
	config *KMSConfiguration
	prefix string
	conn   *grpc.ClientConn
	plugin kmsv2.KeyManagementServiceClient
	flight singleflight.Group
	// renewed is called when another seed begins to serve in place of one.
	renewed func()

	mu      sync.Mutex
	current *seed
	checked time.Time
	// opened are seeds by their encrypted form.
	opened map[string]*seed
}

// seed is one that the plug-in has encrypted or decrypted for us.
type seed struct {
	secret []byte
	// How it is stored.
	keyID       string
	encrypted   []byte
	annotations map[string][]byte
}

const (
	seedSize = 32
	infoSize = 32
	// The plug-in is asked this often whether it has a new key, and only when something is written.
	statusEvery = time.Minute
	seedsKept   = 1000
)

func newKMS(config *KMSConfiguration, renewed func()) (provider, error) {
	conn, err := grpc.NewClient(config.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return nil, fmt.Errorf("kms %s: %w", config.Name, err)
	}
	return &kms{config: config, prefix: "k8s:enc:kms:v2:" + config.Name + ":", conn: conn, plugin: kmsv2.NewKeyManagementServiceClient(conn), renewed: renewed, opened: map[string]*seed{}}, nil
}

func (k *kms) close() { _ = k.conn.Close() } // of a connection that nobody uses any more

func (k *kms) reads(data []byte) bool { return bytes.HasPrefix(data, []byte(k.prefix)) }

func (k *kms) seal(ctx context.Context, authenticated, data []byte) ([]byte, error) {
	s, err := k.writing(ctx)
	if err != nil {
		return nil, err
	}
	info := make([]byte, infoSize)
	rand.Read(info) // never fails
	c, err := derived(s.secret, info)
	if err != nil {
		return nil, err
	}
	sealed, err := c.seal(string(info), authenticated, data)
	if err != nil {
		return nil, err
	}
	object := encryptedObject{data: sealed, keyID: s.keyID, seed: s.encrypted, annotations: s.annotations, sourceType: derivedFromSeed}
	return object.append([]byte(k.prefix)), nil
}

func (k *kms) open(ctx context.Context, authenticated, data []byte) ([]byte, bool, error) {
	var object encryptedObject
	if err := object.parse(data[len(k.prefix):]); err != nil {
		return nil, false, fmt.Errorf("kms %s: %w", k.config.Name, err)
	}
	s, err := k.reading(ctx, &object)
	if err != nil {
		return nil, false, err
	}
	var out []byte
	switch object.sourceType {
	case derivedFromSeed:
		if len(object.data) < infoSize {
			return nil, false, errTruncated
		}
		var c cryptor
		if c, err = derived(s.secret, object.data[:infoSize]); err == nil {
			out, err = c.open(authenticated, object.data[infoSize:])
		}
	case plainKey:
		var c cryptor
		if c, err = newGCM(s.secret); err == nil {
			out, err = c.open(authenticated, object.data)
		}
	default:
		err = fmt.Errorf("kms %s: unknown type %d of encrypted data", k.config.Name, object.sourceType)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	stale := k.current != nil && k.current.keyID != object.keyID || object.sourceType != derivedFromSeed
	return out, stale, err
}

// derived is the cipher of one object.
func derived(secret, info []byte) (cryptor, error) {
	key, err := hkdf.Expand(sha256.New, secret, string(info), seedSize)
	if err != nil {
		return nil, err
	}
	return newGCM(key)
}

// writing returns the seed for new data. If the plug-in does not answer, the last one goes on serving for a while, as
// upstream allows it three minutes.
func (k *kms) writing(ctx context.Context) (*seed, error) {
	k.mu.Lock()
	current, age := k.current, time.Since(k.checked)
	k.mu.Unlock()
	if current != nil && age < statusEvery {
		return current, nil
	}
	renewed, err, _ := k.flight.Do("", func() (any, error) { return k.renew(ctx) })
	if err != nil && current != nil && age < 3*statusEvery {
		return current, nil
	}
	if err != nil {
		return nil, err
	}
	return renewed.(*seed), nil
}

// renew asks for the plug-in's key and, if that is another one, has a new seed encrypted.
func (k *kms) renew(ctx context.Context) (*seed, error) {
	keyID, err := k.status(ctx)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	current := k.current
	k.mu.Unlock()
	if current == nil || current.keyID != keyID {
		secret := make([]byte, seedSize)
		rand.Read(secret) // never fails
		response, err := call(ctx, k, k.plugin.Encrypt, &kmsv2.EncryptRequest{Plaintext: secret, Uid: uuid.NewString()})
		if err != nil {
			return nil, err
		}
		if len(response.Ciphertext) == 0 || response.KeyId == "" {
			return nil, fmt.Errorf("kms %s: an empty answer to Encrypt", k.config.Name)
		}
		current = &seed{secret, response.KeyId, response.Ciphertext, response.Annotations}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current != nil && k.current != current {
		k.renewed()
	}
	k.current, k.checked = current, time.Now()
	k.remember(current)
	return current, nil
}

// reading returns the seed of stored data.
func (k *kms) reading(ctx context.Context, object *encryptedObject) (*seed, error) {
	id := string(object.seed) + "\x00" + object.keyID
	k.mu.Lock()
	known := k.opened[id]
	k.mu.Unlock()
	if known != nil {
		return known, nil
	}
	opened, err, _ := k.flight.Do(id, func() (any, error) {
		request := &kmsv2.DecryptRequest{Ciphertext: object.seed, Uid: uuid.NewString(), KeyId: object.keyID, Annotations: object.annotations}
		response, err := call(ctx, k, k.plugin.Decrypt, request)
		if err != nil {
			return nil, err
		}
		s := &seed{response.Plaintext, object.keyID, object.seed, object.annotations}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.remember(s)
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return opened.(*seed), nil
}

// remember keeps a seed; when there are very many, any one goes. Called with mu held.
func (k *kms) remember(s *seed) {
	for id := range k.opened {
		if len(k.opened) < seedsKept {
			break
		}
		delete(k.opened, id)
	}
	k.opened[string(s.encrypted)+"\x00"+s.keyID] = s
}

func (k *kms) status(ctx context.Context) (keyID string, err error) {
	response, err := call(ctx, k, k.plugin.Status, &kmsv2.StatusRequest{})
	if err != nil {
		return "", err
	}
	if (response.Version != "v2" && response.Version != "v2beta1") || response.Healthz != "ok" || response.KeyId == "" {
		return "", fmt.Errorf("kms %s: is version %q, healthz %q, key %q", k.config.Name, response.Version, response.Healthz, response.KeyId)
	}
	return response.KeyId, nil
}

func (k *kms) health(ctx context.Context) error {
	_, err := k.status(ctx)
	return err
}

// call asks the plug-in, within its time.
func call[In, Out any](ctx context.Context, k *kms, method func(context.Context, In, ...grpc.CallOption) (Out, error), in In) (Out, error) {
	timeout := defaultKMSTimeout
	if k.config.Timeout != nil {
		timeout = k.config.Timeout.Duration
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := method(ctx, in, grpc.WaitForReady(true))
	if err != nil {
		return out, fmt.Errorf("kms %s: %w", k.config.Name, err)
	}
	return out, nil
}
