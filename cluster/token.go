package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/pki"
)

// joinToken lets a machine join: a bootstrap token of the API, and the pin of the cluster's authority, so that
// the machine knows whom it talks to. Its text is ID.SECRET@sha256:HASH.
type joinToken struct{ id, secret, pin string }

var joinTokenForm = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})@(sha256:[0-9a-f]{64})$`)

func parseToken(text string) (joinToken, error) {
	parts := joinTokenForm.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return joinToken{}, daemon.UsageError("--token: must be what `septet token create` printed, ID.SECRET@sha256:HASH")
	}
	return joinToken{parts[1], parts[2], parts[3]}, nil
}

func (t joinToken) bearer() string { return t.id + "." + t.secret }
func (t joinToken) String() string { return t.bearer() + "@" + t.pin }

// createToken puts a bootstrap token into the API. A life of zero is for ever.
func createToken(ctx context.Context, api kubernetes.Interface, pin, description string, life time.Duration) (joinToken, error) {
	t := joinToken{id: random(6), secret: random(16), pin: pin}
	data := map[string]string{
		"token-id": t.id, "token-secret": t.secret, "usage-bootstrap-authentication": "true",
		"auth-extra-groups": "system:bootstrappers:septet:nodes", "description": description,
	}
	if life > 0 {
		data["expiration"] = time.Now().Add(life).UTC().Format(time.RFC3339)
	}
	_, err := api.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + t.id, Namespace: metav1.NamespaceSystem},
		Type:       corev1.SecretTypeBootstrapToken, StringData: data,
	}, metav1.CreateOptions{})
	if err != nil {
		return joinToken{}, fmt.Errorf("token: %w", err)
	}
	return t, nil
}

// random returns letters and digits from the system's source of randomness.
func random(length int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, length)
	for i := range text {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			panic(err) // crypto/rand never fails on the systems we run on
		}
		text[i] = letters[n.Int64()]
	}
	return string(text)
}

// TokenCommand is `septet token`.
func TokenCommand() *cobra.Command {
	cmd := daemon.Quiet(&cobra.Command{Use: "token", Short: "Tokens with which further machines join"})
	var dataDir string
	var life time.Duration
	create := daemon.Quiet(&cobra.Command{Use: "create", Short: "Make a token and print it", Args: cobra.NoArgs})
	create.Flags().StringVar(&dataDir, "data-dir", DefaultDataDir, "directory of all state of the server")
	create.Flags().DurationVar(&life, "ttl", 24*time.Hour, "how long the token is good for; 0 is for ever")
	create.RunE = func(cmd *cobra.Command, _ []string) error {
		p := paths{data: dataDir}
		set, err := client.FromKubeconfig(p.admin(), "", daemon.UserAgent("septet-token"))
		if err != nil {
			return fmt.Errorf("%w (is there a server on this machine? say --data-dir)", err)
		}
		pin, err := pki.PublicKeyHash(set.Config.CAData)
		if err != nil {
			return fmt.Errorf("authority in %s: %w", p.admin(), err)
		}
		token, err := createToken(cmd.Context(), set, pin, "septet token create", life)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), token)
		return nil
	}
	cmd.AddCommand(create)
	return cmd
}
