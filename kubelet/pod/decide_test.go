package pod

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/probe"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// scenario is one case of testdata/decide/*.yaml. Times are seconds.
type scenario struct {
	Title      string              `json:"title"`
	Pod        v1.PodSpec          `json:"pod"`
	Sandboxes  []scenarioSandbox   `json:"sandboxes"`
	Containers []scenarioContainer `json:"containers"` // newest first
	Busy       []string            `json:"busy"`
	Backoff    map[string]int      `json:"backoff"`
	Retry      map[string]int      `json:"retry"`
	Resize     []string            `json:"resize"`
	Epoch      int                 `json:"epoch"`
	Now        int                 `json:"now"`
}

type scenarioSandbox struct {
	ID          string `json:"id"`
	Attempt     uint32 `json:"attempt"`
	NotReady    bool   `json:"notReady"`
	HostNetwork bool   `json:"hostNetwork"`
	NoIP        bool   `json:"noIP"`
}

type scenarioContainer struct {
	Name     string    `json:"name"`
	Sandbox  string    `json:"sandbox"`
	State    cri.State `json:"state"`
	Code     int32     `json:"code"`
	Created  int       `json:"created"`
	Finished int       `json:"finished"`
	Image    string    `json:"image"`
	Startup  string    `json:"startup"`
	Liveness string    `json:"liveness"`
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func (s *scenario) snapshot() *Snapshot {
	results := map[string]probe.Result{"": probe.Unknown, "success": probe.Success, "failure": probe.Failure}
	out := &Snapshot{
		Pod:     &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "u"}, Spec: s.Pod},
		Runtime: &cri.Pod{UID: "u"}, Verdicts: map[string]probe.Verdict{}, Backoff: map[string]Backoff{}, Retry: map[string]time.Time{},
		Busy: map[string]bool{}, ResizeRestart: map[string]bool{}, Now: at(s.Now),
	}
	if s.Epoch > 0 {
		out.Epoch = at(s.Epoch)
	}
	for _, sb := range s.Sandboxes {
		made := &cri.Sandbox{ID: sb.ID, Attempt: sb.Attempt, Ready: !sb.NotReady, HostNetwork: sb.HostNetwork, IPs: []string{"10.0.0.1"}}
		if sb.NoIP {
			made.IPs = nil
		}
		out.Runtime.Sandboxes = append(out.Runtime.Sandboxes, made)
	}
	for i, c := range s.Containers {
		image := c.Image
		if image == "" {
			image = "img"
		}
		made := &cri.Container{
			ID: fmt.Sprintf("%s-%d", c.Name, len(s.Containers)-i), Name: c.Name, SandboxID: c.Sandbox, State: c.State, ExitCode: c.Code,
			CreatedAt: at(c.Created), FinishedAt: at(c.Finished), Hash: cri.Hash(&v1.Container{Name: c.Name, Image: image}),
		}
		if made.SandboxID == "" {
			made.SandboxID = s.Sandboxes[0].ID
		}
		out.Runtime.Containers = append(out.Runtime.Containers, made)
		out.Verdicts[made.ID] = probe.Verdict{Startup: results[c.Startup], Liveness: results[c.Liveness]}
	}
	for name, delay := range s.Backoff {
		out.Backoff[name] = Backoff{Delay: time.Duration(delay) * time.Second, Hash: cri.Hash(&v1.Container{Name: name, Image: "img"}), Since: at(0), Max: 5 * time.Minute}
	}
	for name, t := range s.Retry {
		out.Retry[name] = at(t)
	}
	for _, name := range s.Busy {
		out.Busy[name] = true
	}
	for _, name := range s.Resize {
		out.ResizeRestart[name] = true
	}
	for _, list := range [][]v1.Container{out.Pod.Spec.Containers, out.Pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Image == "" {
				list[i].Image = "img"
			}
		}
	}
	return out
}

// tell writes actions for people.
func tell(a Actions) string {
	var b strings.Builder
	if a.Over {
		b.WriteString("  the pod is over\n")
	}
	if a.CreateSandbox {
		fmt.Fprintf(&b, "  create sandbox %d", a.Attempt)
		if a.Changed {
			b.WriteString(" in place of the old one")
		}
		b.WriteString("\n")
	}
	if a.Reset {
		b.WriteString("  restart all containers\n")
	}
	for _, k := range a.Kill {
		fmt.Fprintf(&b, "  kill %s: %s", k.ID, k.Message)
		if k.Grace != nil {
			fmt.Fprintf(&b, " (within %ds)", *k.Grace)
		}
		b.WriteString("\n")
	}
	for _, name := range a.Start {
		fmt.Fprintf(&b, "  start %s\n", name)
	}
	var waiting []string
	for name, until := range a.Waiting {
		waiting = append(waiting, fmt.Sprintf("  %s waits until %s\n", name, until.Sub(start)))
	}
	sort.Strings(waiting)
	b.WriteString(strings.Join(waiting, ""))
	if !a.Next.IsZero() {
		fmt.Fprintf(&b, "  decide again at %s\n", a.Next.Sub(start))
	}
	if b.Len() == 0 {
		b.WriteString("  nothing\n")
	}
	return b.String()
}

func TestDecideAsTheTranscriptsSay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/decide/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var scenarios []scenario
			if err := yaml.UnmarshalStrict(raw, &scenarios); err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for i := range scenarios {
				fmt.Fprintf(&b, "%s\n%s", scenarios[i].Title, tell(Decide(scenarios[i].snapshot())))
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("decisions differ from the transcript (-want +got):\n%s", diff)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	s := (&scenario{
		Pod:       v1.PodSpec{RestartPolicy: v1.RestartPolicyAlways, Containers: []v1.Container{{Name: "a"}, {Name: "b"}}, InitContainers: []v1.Container{{Name: "i"}}},
		Sandboxes: []scenarioSandbox{{ID: "s"}},
		Containers: []scenarioContainer{
			{Name: "b", State: cri.Running}, {Name: "a", State: cri.Running}, {Name: "i", State: cri.Exited},
		},
	}).snapshot()
	b.ReportAllocs()
	for b.Loop() {
		Decide(s)
	}
}
