package decide

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

// A transcript is a file of commands with, below each, what comes of it:
//
//	node NAME {yaml of metadata, spec and status}
//	pod NAME NODE {spec}     a pod that is there; its node
//	decide NAME {spec}       prints the decision, and places the pod if there is one
//	explain NAME {spec}      prints every node's verdicts and scores
//	remove NAME              a pod goes
//
// In specs, "labels" are the pod's labels, "cpu" and "memory" its requests. Lines with > are output; -update rewrites them.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(data))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("%s: got\n%s\nwant\n%s", file, got, data)
			}
		})
	}
}

// stage is a transcript's cluster.
type stage struct {
	t       *testing.T
	s       *snapshot.Snapshot
	d       *Decider
	request *Request
	pods    map[string]*snapshot.Pod
}

func play(t *testing.T, script string) string {
	g := &stage{t: t, s: snapshot.New(), request: &Request{Profile: defaultProfile(t)}, pods: map[string]*snapshot.Pod{}}
	g.d = New(g.s)
	g.d.Random = func(int) int { return 0 }
	g.s.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, "default")
	var out strings.Builder
	for lines := bufio.NewScanner(strings.NewReader(script)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, ">") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for _, result := range g.do(line) {
			fmt.Fprintln(&out, "> "+result)
		}
	}
	return out.String()
}

func (g *stage) do(line string) []string {
	head, body, _ := strings.Cut(line, "{")
	words := strings.Fields(head)
	body = "{" + body
	switch words[0] {
	case "node":
		n := &corev1.Node{}
		if err := yaml.UnmarshalStrict([]byte(body), n); err != nil {
			g.t.Fatalf("%s: %v", line, err)
		}
		n.Name = words[1]
		g.s.SetNode(n)
	case "pod":
		p := g.s.NewPod(g.pod(words[1], body))
		g.pods[words[1]] = p
		g.s.Place(p, words[2])
	case "remove":
		g.s.Displace(g.pods[words[1]])
	case "decide":
		return g.decide(words[1], body)
	case "explain":
		return g.explain(words[1], body)
	default:
		g.t.Fatalf("unknown command %q", line)
	}
	return nil
}

// pod reads a spec with its shorthands.
func (g *stage) pod(name, body string) *corev1.Pod {
	short := struct {
		Labels map[string]string `json:"labels"`
		CPU    string            `json:"cpu"`
		Memory string            `json:"memory"`
		corev1.PodSpec
	}{}
	if err := yaml.Unmarshal([]byte(body), &short); err != nil {
		g.t.Fatalf("%s: %v", body, err)
	}
	p := benchPod(name, nil)
	p.UID, p.Labels = types.UID(name), short.Labels
	containers := p.Spec.Containers
	p.Spec = short.PodSpec
	p.Spec.SchedulerName = corev1.DefaultSchedulerName
	if len(p.Spec.Containers) == 0 {
		p.Spec.Containers = containers
		var resources corev1.ResourceRequirements
		text := "{requests: {"
		if short.CPU != "" {
			text += "cpu: " + short.CPU + ","
		}
		if short.Memory != "" {
			text += "memory: " + short.Memory
		}
		if err := yaml.Unmarshal([]byte(text+"}}"), &resources); err != nil {
			g.t.Fatalf("%s: %v", body, err)
		}
		p.Spec.Containers[0].Resources = resources
	}
	return p
}

func (g *stage) decide(name, body string) []string {
	p := g.s.NewPod(g.pod(name, body))
	g.pods[name] = p
	g.request.Cycle = &plugin.Cycle{Pod: p, Snapshot: g.s}
	r := g.d.Decide(context.Background(), g.request)
	switch {
	case r.Err != nil:
		return []string{"error: " + r.Err.Error()}
	case r.Failure != nil:
		return []string{r.Failure.Message(), "refused by " + strings.Join(r.Failure.Plugins, ", ")}
	}
	g.s.PlaceOn(p, r.Row)
	return []string{fmt.Sprintf("%s, score %d, %d of %d feasible, %d with that score", g.s.NameOf(r.Row), r.Score, r.Feasible, r.Evaluated, r.Ties)}
}

func (g *stage) explain(name, body string) (lines []string) {
	g.request.Cycle = &plugin.Cycle{Pod: g.s.NewPod(g.pod(name, body)), Snapshot: g.s}
	x, err := g.d.Explain(context.Background(), g.request)
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	for _, n := range x.Nodes {
		line := n.Node
		if n.Feasible {
			line += fmt.Sprintf(": %d =", n.Total)
			for _, s := range n.Scores {
				line += fmt.Sprintf(" %s %d>%d*%d", s.Plugin, s.Raw, s.Normalized, s.Weight)
			}
		}
		for _, r := range n.Refusals {
			line += fmt.Sprintf("; %s (%s): %s", r.Plugin, r.Code, strings.Join(r.Reasons, ", "))
			if len(r.Remedies) > 0 {
				line += " [" + strings.Join(r.Remedies, ", ") + "]"
			}
		}
		lines = append(lines, line)
	}
	return lines
}
