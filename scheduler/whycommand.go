package scheduler

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
)

// whyOptions is the command line of why.
type whyOptions struct {
	kubeconfig, server, namespace, file, output string
}

// WhyCommand returns the command why: where a pod is and why, why it is still pending, or where one would go. It asks /debug/why at the
// API server of the kubeconfig, or at a scheduler's own port.
func WhyCommand() *cobra.Command {
	o := &whyOptions{}
	cmd := &cobra.Command{
		Use: "why POD | -f FILE", Short: "Tell why a pod is where it is, or still pending",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), args, cmd.OutOrStdout(), cmd.InOrStdin())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig; the usual one if empty")
	flags.StringVarP(&o.server, "server", "s", "", "address to ask instead of the kubeconfig's, such as a scheduler's https://HOST:10259")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "the pod's namespace; the kubeconfig's if empty")
	flags.StringVarP(&o.file, "filename", "f", "", "a pod's manifest that need not exist (- is standard input)")
	flags.StringVarP(&o.output, "output", "o", "", "json, yaml or wide")
	return daemon.Quiet(cmd)
}

func (o *whyOptions) run(ctx context.Context, args []string, out io.Writer, in io.Reader) error {
	if (len(args) == 1) == (o.file != "") {
		return daemon.UsageError("why needs a pod's name, or -f with a manifest")
	}
	if o.output != "" && o.output != "json" && o.output != "yaml" && o.output != "wide" {
		return daemon.UsageError("--output=%s: must be json, yaml or wide", o.output)
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	overrides := &clientcmd.ConfigOverrides{}
	overrides.ClusterInfo.Server = o.server
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if err != nil {
		return err
	}
	if o.namespace == "" {
		if o.namespace, _, err = loader.Namespace(); err != nil {
			o.namespace = metav1.NamespaceDefault
		}
	}
	config.UserAgent = daemon.UserAgent("septet-why")
	set, err := client.New(config)
	if err != nil {
		return err
	}
	data, err := o.ask(ctx, set.CoreV1().RESTClient(), args, in)
	if err != nil {
		return err
	}
	return o.show(out, data)
}

func (o *whyOptions) ask(ctx context.Context, api rest.Interface, args []string, in io.Reader) ([]byte, error) {
	if o.file == "" {
		name := strings.TrimPrefix(strings.TrimPrefix(args[0], "pod/"), "pods/")
		return api.Get().AbsPath("/debug/why", o.namespace, name).SetHeader("Accept", "application/json").DoRaw(ctx)
	}
	var manifest []byte
	var err error
	if o.file == "-" {
		manifest, err = io.ReadAll(in)
	} else {
		manifest, err = os.ReadFile(o.file)
	}
	if err != nil {
		return nil, err
	}
	if manifest, err = o.admitted(ctx, api, manifest); err != nil {
		return nil, err
	}
	return api.Post().AbsPath("/debug/why").Param("namespace", o.namespace).SetHeader("Accept", "application/json").Body(manifest).DoRaw(ctx)
}

// admitted is the manifest as the API server would take it: with defaults, priority and whatever admission adds. Where it is not the one
// that is asked, or the user may not create the pod, the manifest stays as it is.
func (o *whyOptions) admitted(ctx context.Context, api rest.Interface, manifest []byte) ([]byte, error) {
	pod := &corev1.Pod{}
	if err := yaml.Unmarshal(manifest, pod); err != nil {
		return nil, err
	}
	if pod.Kind != "Pod" {
		return nil, fmt.Errorf("kind %q: must be a Pod", pod.Kind)
	}
	namespace, taken := cmp.Or(pod.Namespace, o.namespace), &corev1.Pod{}
	err := api.Post().Namespace(namespace).Resource("pods").Param("dryRun", metav1.DryRunAll).Body(pod).Do(ctx).Into(taken)
	switch {
	case apierrors.IsInvalid(err):
		return nil, err
	case err != nil:
		return manifest, nil
	}
	taken.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	return json.Marshal(taken)
}

func (o *whyOptions) show(out io.Writer, data []byte) error {
	switch o.output {
	case "json":
		_, err := fmt.Fprintf(out, "%s\n", strings.TrimSpace(string(data)))
		return err
	case "yaml":
		text, err := yaml.JSONToYAML(data)
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	}
	var d Decision
	if err := json.Unmarshal(data, &d); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	return d.Tell(out, o.output == "wide")
}
