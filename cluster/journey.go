package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/journal"
)

// JourneyCommand is `septet journey`.
func JourneyCommand() *cobra.Command {
	dataDir, namespace, output, kubeconfig := "", "", "", ""
	cmd := daemon.Quiet(&cobra.Command{
		Use: "journey KIND/NAME", Short: "Tell the way of an object, and of all that it caused, through the components", Args: cobra.ExactArgs(1),
		Example: "  septet journey deployment/web\n  septet journey pod/web-5d8f-abcde -n shop -o json",
	})
	cmd.Flags().StringVar(&dataDir, "data-dir", DefaultDataDir, "directory of all state of the server")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig to use instead of the server's own")
	cmd.Flags().StringVarP(&namespace, "namespace", "n", metav1.NamespaceDefault, "namespace of the object")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for programs")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		kind, name, ok := strings.Cut(args[0], "/")
		if !ok || kind == "" || name == "" {
			return daemon.UsageError("%q: must be KIND/NAME, for example deployment/web", args[0])
		}
		if kubeconfig == "" {
			kubeconfig = paths{data: dataDir}.admin()
		}
		set, err := client.FromKubeconfig(kubeconfig, "", daemon.UserAgent("septet-journey"))
		if err != nil {
			return err
		}
		records, warnings := collect(cmd.Context(), set)
		for _, warning := range warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
		}
		seeds := []subject{{strings.ToLower(kind), namespace, name}, {strings.ToLower(kind), "", name}}
		story := Story(records, seeds)
		story = Story(records, append(seeds, servicesOf(cmd.Context(), set, story)...))
		if len(story) == 0 {
			return fmt.Errorf("nothing is remembered of %s in namespace %s: it may be long ago, or another server's", args[0], namespace)
		}
		return printStory(cmd.OutOrStdout(), story, output)
	}
	return cmd
}

// collect reads the rings of the server and of every node that is a process of its own. What cannot be read is a warning.
func collect(ctx context.Context, set *client.Set) (records []journal.Record, warnings []string) {
	read := func(path string) error {
		body, err := set.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if err != nil {
			return err
		}
		var some []journal.Record
		if err := json.Unmarshal(body, &some); err != nil {
			return err
		}
		records = append(records, some...)
		return nil
	}
	if err := read("/debug/journal"); err != nil {
		warnings = append(warnings, "the server's journal: "+err.Error())
	}
	nodes, err := set.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return records, append(warnings, "nodes: "+err.Error())
	}
	for _, node := range nodes.Items {
		if err := read("/api/v1/nodes/" + node.Name + "/proxy/debug/journal"); err != nil {
			warnings = append(warnings, "the journal of node "+node.Name+": "+err.Error())
		}
	}
	return unique(records), warnings
}

// unique drops what was read twice: a server's own node shows the server's ring.
func unique(records []journal.Record) []journal.Record {
	slices.SortStableFunc(records, func(a, b journal.Record) int { return a.Time.Compare(b.Time) })
	return slices.CompactFunc(records, func(a, b journal.Record) bool { return a.Time.Equal(b.Time) && a == b })
}

// subject names an object; the kind is in lower case.
type subject struct{ kind, namespace, name string }

func subjectOf(r *journal.Record) subject {
	return subject{strings.ToLower(r.Kind), r.Namespace, r.Name}
}

// ownerOf reads a record's Owner: "ReplicaSet/default/web-5d", or "Node//a".
func ownerOf(r *journal.Record) (subject, bool) {
	parts := strings.SplitN(r.Owner, "/", 3)
	if len(parts) != 3 {
		return subject{}, false
	}
	return subject{strings.ToLower(parts[0]), parts[1], parts[2]}, true
}

// Story selects, in order of time, what was done to the seeds and to everything that came of them.
func Story(records []journal.Record, seeds []subject) []journal.Record {
	known := map[subject]bool{}
	for _, seed := range seeds {
		known[seed] = true
	}
	for grown := true; grown; {
		grown = false
		for i := range records {
			owner, has := ownerOf(&records[i])
			if who := subjectOf(&records[i]); has && known[owner] && !known[who] {
				known[who], grown = true, true
			}
		}
	}
	var story []journal.Record
	for i := range records {
		if known[subjectOf(&records[i])] {
			story = append(story, records[i])
		}
	}
	return story
}

// servicesOf finds the Services that lead to the Pods of a story.
func servicesOf(ctx context.Context, set *client.Set, story []journal.Record) []subject {
	pods := map[string]bool{}
	namespace := ""
	for i := range story {
		if story[i].Kind == "Pod" {
			pods[story[i].Name], namespace = true, story[i].Namespace
		}
	}
	if len(pods) == 0 {
		return nil
	}
	all, err := set.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	services, err2 := set.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil || err2 != nil {
		return nil // the story is told without them
	}
	var found []subject
	for _, service := range services.Items {
		selector := labels.SelectorFromSet(service.Spec.Selector)
		leads := slices.ContainsFunc(all.Items, func(p corev1.Pod) bool { return pods[p.Name] && selector.Matches(labels.Set(p.Labels)) })
		if len(service.Spec.Selector) > 0 && leads {
			found = append(found, subject{"service", namespace, service.Name})
		}
	}
	return found
}

// columns of a line, which is at most width wide.
const (
	width      = 100
	objectSize = 34
)

// short are the components' names as the story has them.
var short = map[string]string{
	"kube-apiserver": "apiserver", "kube-scheduler": "scheduler", "kube-controller-manager": "controllers",
	"cloud-controller-manager": "cloud", "kube-proxy": "proxy",
}

func printStory(w io.Writer, story []journal.Record, output string) error {
	switch output {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(story)
	case "":
	default:
		return daemon.UsageError("--output=%s: must be json", output)
	}
	start := story[0].Time
	story = withoutEchoes(story)
	fmt.Fprintf(w, "%s: the first of %d steps\n", start.Local().Format(time.DateTime), len(story))
	for i := range story {
		for _, line := range lines(&story[i], start) {
			fmt.Fprintln(w, line)
		}
	}
	return nil
}

// withoutEchoes drops the steps of writers that the API server has told of too: both made the same version.
func withoutEchoes(story []journal.Record) []journal.Record {
	made := map[string]bool{}
	for i := range story {
		if story[i].Component == "kube-apiserver" && story[i].Made != "" {
			made[story[i].Made] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(story), func(r journal.Record) bool {
		return r.Component == "kube-controller-manager" && r.Made != "" && made[r.Made] && r.Duration == 0
	})
}

// lines writes a step: when, who, what to which object, how long it took, and a remark, which goes on below itself if it is long.
func lines(r *journal.Record, start time.Time) []string {
	component := r.Component
	if s, ok := short[component]; ok {
		component = s
	}
	took := ""
	if r.Duration > 0 {
		took = r.Duration.Round(10 * time.Microsecond).String()
	}
	head := fmt.Sprintf("%9s  %-11s %-18s %-*s %9s", offset(r.Time.Sub(start)), cut(component, 11), cut(r.Step, 18), objectSize, cut(r.Kind+"/"+r.Name, objectSize), took)
	all := []string{strings.TrimRight(head, " ")}
	const indent = 23
	for _, line := range wrap(remark(r.Note), width-indent) {
		all = append(all, strings.Repeat(" ", indent)+line)
	}
	return all
}

// who matches how the API server notes who wrote and which rule let them.
var who = regexp.MustCompile(`^user (?:system:serviceaccount:kube-system:)?([^,]+)(?:, RBAC: allowed by (\w+) "([^"]+)" of \w+ "[^"]+" to \w+ "[^"]+")?`)

// remark says it in fewer words: "by deployment-controller (system:controller:deployment-controller)".
func remark(note string) string {
	return who.ReplaceAllStringFunc(note, func(text string) string {
		parts := who.FindStringSubmatch(text)
		if parts[3] == "" {
			return "by " + parts[1]
		}
		return "by " + parts[1] + " (" + parts[2] + " " + parts[3] + ")"
	})
}

func offset(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("+%.3fs", d.Seconds())
	}
	return "+" + d.Round(time.Second).String()
}

// cut shortens a text in its middle: both ends of a generated name tell something.
func cut(s string, most int) string {
	letters := []rune(s)
	if len(letters) <= most {
		return s
	}
	half := (most - 1) / 2
	return string(letters[:most-1-half]) + "…" + string(letters[len(letters)-half:])
}

// wrap breaks a text at spaces, and words that are too long wherever a line ends.
func wrap(text string, most int) []string {
	var all []string
	var line []rune
	for _, field := range strings.Fields(text) {
		word := []rune(field)
		if len(line) > 0 && len(line)+1+len(word) > most {
			all, line = append(all, string(line)), nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for line = append(line, word...); len(line) > most; line = line[most:] {
			all = append(all, string(line[:most]))
		}
	}
	if len(line) > 0 {
		all = append(all, string(line))
	}
	return all
}
