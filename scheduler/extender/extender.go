// Package extender asks schedulers' extenders over HTTP: processes outside that filter and rate nodes, choose victims and bind pods, as
// k8s.io/kube-scheduler/extender/v1 defines it. What they answer is not trusted: sizes, times and names are checked.
package extender

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// maxAnswer bounds the bytes of an answer.
const maxAnswer = 256 << 20

// Extender is one configured extender. It is safe for concurrent use.
type Extender struct {
	config  schedulerv1.Extender
	client  *http.Client
	managed map[string]bool
}

// New makes an extender from its configuration. It reads the TLS files, so it can fail.
func New(config schedulerv1.Extender) (*Extender, error) {
	client, err := httpClient(&config)
	if err != nil {
		return nil, fmt.Errorf("extender %s: %w", config.URLPrefix, err)
	}
	e := &Extender{config: config, client: client, managed: map[string]bool{}}
	for _, r := range config.ManagedResources {
		e.managed[r.Name] = true
	}
	return e, nil
}

func httpClient(config *schedulerv1.Extender) (*http.Client, error) {
	options := &rest.Config{}
	if t := config.TLSConfig; t != nil {
		options.TLSClientConfig = rest.TLSClientConfig{
			Insecure: t.Insecure, ServerName: t.ServerName, CertFile: t.CertFile, KeyFile: t.KeyFile, CAFile: t.CAFile,
			CertData: t.CertData, KeyData: t.KeyData, CAData: t.CAData,
		}
	}
	if config.EnableHTTPS && len(options.CAFile) == 0 && len(options.CAData) == 0 {
		options.Insecure = true // as upstream: https was asked for, and nothing to verify it with was given
	}
	tls, err := rest.TLSConfigFor(options)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig, transport.MaxIdleConnsPerHost = tls, 16
	timeout := config.HTTPTimeout.Duration
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	return &http.Client{Transport: transport, Timeout: timeout}, nil
}

// Name is the extender's URL.
func (e *Extender) Name() string { return e.config.URLPrefix }

// Ignorable says that its failures do not fail pods.
func (e *Extender) Ignorable() bool { return e.config.Ignorable }

// Interested says whether it is to be asked about a pod: if it manages no resources in particular, or the pod asks for one of them.
func (e *Extender) Interested(pod *corev1.Pod) bool {
	if len(e.managed) == 0 {
		return true
	}
	for _, list := range [2][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if e.manages(list[i].Resources.Requests) || e.manages(list[i].Resources.Limits) {
				return true
			}
		}
	}
	return false
}

func (e *Extender) manages(resources corev1.ResourceList) bool {
	for name := range resources {
		if e.managed[string(name)] {
			return true
		}
	}
	return false
}

// Binds says whether it binds pods.
func (e *Extender) Binds() bool { return e.config.BindVerb != "" }

// Preempts says whether it has a say in preemption.
func (e *Extender) Preempts() bool { return e.config.PreemptVerb != "" }

// Filter returns the rows that remain, and why others do not.
func (e *Extender) Filter(ctx context.Context, pod *corev1.Pod, s *snapshot.Snapshot, rows []int32) (kept []int32, failed map[int32]*plugin.Status, err error) {
	if e.config.FilterVerb == "" {
		return rows, nil, nil
	}
	var result extenderv1.ExtenderFilterResult
	if err := e.send(ctx, e.config.FilterVerb, e.args(pod, s, rows), &result); err != nil {
		return nil, nil, err
	}
	if result.Error != "" {
		return nil, nil, fmt.Errorf("extender %s: %s", e.Name(), result.Error)
	}
	names := map[string]int32{}
	for _, row := range rows {
		names[s.NameOf(row)] = row
	}
	take := func(name string) error {
		row, ok := names[name]
		if !ok {
			return fmt.Errorf("extender %s claims a filtered node %q which is not found in the input node list", e.Name(), name)
		}
		kept = append(kept, row)
		return nil
	}
	switch {
	case e.config.NodeCacheCapable && result.NodeNames != nil:
		for _, name := range *result.NodeNames {
			if err := take(name); err != nil {
				return nil, nil, err
			}
		}
	case result.Nodes != nil:
		for i := range result.Nodes.Items {
			if err := take(result.Nodes.Items[i].Name); err != nil {
				return nil, nil, err
			}
		}
	}
	failed = map[int32]*plugin.Status{}
	for code, nodes := range map[plugin.Code]extenderv1.FailedNodesMap{plugin.Unschedulable: result.FailedNodes, plugin.Unresolvable: result.FailedAndUnresolvableNodes} {
		for name, reason := range nodes {
			if row, ok := names[name]; ok && (code == plugin.Unresolvable || failed[row] == nil) {
				failed[row] = plugin.Reject(code, reason)
			}
		}
	}
	return kept, failed, nil
}

func (e *Extender) args(pod *corev1.Pod, s *snapshot.Snapshot, rows []int32) *extenderv1.ExtenderArgs {
	args := &extenderv1.ExtenderArgs{Pod: pod}
	if e.config.NodeCacheCapable {
		names := make([]string, len(rows))
		for i, row := range rows {
			names[i] = s.NameOf(row)
		}
		args.NodeNames = &names
		return args
	}
	args.Nodes = &corev1.NodeList{Items: make([]corev1.Node, len(rows))}
	for i, row := range rows {
		args.Nodes.Items[i] = *s.Node[row].Object
	}
	return args
}

// Prioritize adds the extender's weighted scores. What it says of unknown nodes or beyond 0 to 10 is cut off.
func (e *Extender) Prioritize(ctx context.Context, pod *corev1.Pod, s *snapshot.Snapshot, rows []int32, scores []int64) error {
	if e.config.PrioritizeVerb == "" {
		return nil
	}
	var result extenderv1.HostPriorityList
	if err := e.send(ctx, e.config.PrioritizeVerb, e.args(pod, s, rows), &result); err != nil {
		return err
	}
	given := make(map[string]int64, len(result))
	for _, h := range result {
		given[h.Host] = max(extenderv1.MinExtenderPriority, min(h.Score, extenderv1.MaxExtenderPriority))
	}
	for i, row := range rows {
		scores[i] += given[s.NameOf(row)] * e.config.Weight * (plugin.MaxScore / extenderv1.MaxExtenderPriority)
	}
	return nil
}

// Preempt asks which candidates for preemption remain. It may only drop nodes and victims.
func (e *Extender) Preempt(ctx context.Context, pod *corev1.Pod, s *snapshot.Snapshot, victims map[int32]plugin.Victims) (map[int32]plugin.Victims, error) {
	args := &extenderv1.ExtenderPreemptionArgs{Pod: pod}
	if e.config.NodeCacheCapable {
		args.NodeNameToMetaVictims = map[string]*extenderv1.MetaVictims{}
	} else {
		args.NodeNameToVictims = map[string]*extenderv1.Victims{}
	}
	for row, v := range victims {
		name := s.NameOf(row)
		full := &extenderv1.Victims{NumPDBViolations: v.Violations}
		meta := &extenderv1.MetaVictims{NumPDBViolations: v.Violations}
		for _, p := range v.Pods {
			full.Pods = append(full.Pods, p.Object)
			meta.Pods = append(meta.Pods, &extenderv1.MetaPod{UID: string(p.Object.UID)})
		}
		if e.config.NodeCacheCapable {
			args.NodeNameToMetaVictims[name] = meta
		} else {
			args.NodeNameToVictims[name] = full
		}
	}
	var result extenderv1.ExtenderPreemptionResult
	if err := e.send(ctx, e.config.PreemptVerb, args, &result); err != nil {
		return nil, err
	}
	kept := map[int32]plugin.Victims{}
	for name, meta := range result.NodeNameToMetaVictims {
		row, ok := s.Row(name)
		given, offered := victims[row]
		if !ok || !offered || meta == nil {
			return nil, fmt.Errorf("extender %s chose node %q for preemption, which it was not offered", e.Name(), name)
		}
		v := plugin.Victims{Violations: meta.NumPDBViolations}
		for _, m := range meta.Pods {
			p := find(given.Pods, m)
			if p == nil {
				return nil, fmt.Errorf("extender %s chose a victim on node %q that it was not offered", e.Name(), name)
			}
			v.Pods = append(v.Pods, p)
		}
		if len(v.Pods) > 0 {
			kept[row] = v
		}
	}
	return kept, nil
}

func find(pods []*snapshot.Pod, m *extenderv1.MetaPod) *snapshot.Pod {
	for _, p := range pods {
		if m != nil && string(p.Object.UID) == m.UID {
			return p
		}
	}
	return nil
}

// Bind lets the extender bind a pod.
func (e *Extender) Bind(ctx context.Context, pod *corev1.Pod, node string) error {
	args := &extenderv1.ExtenderBindingArgs{PodName: pod.Name, PodNamespace: pod.Namespace, PodUID: pod.UID, Node: node}
	var result extenderv1.ExtenderBindingResult
	if err := e.send(ctx, e.config.BindVerb, args, &result); err != nil {
		return err
	}
	if result.Error != "" {
		return fmt.Errorf("extender %s: %s", e.Name(), result.Error)
	}
	return nil
}

// send posts a question and reads the answer.
func (e *Extender) send(ctx context.Context, verb string, args, result any) error {
	body, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("extender %s: %w", e.Name(), err)
	}
	url := strings.TrimRight(e.config.URLPrefix, "/") + "/" + verb
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("extender %s: %w", e.Name(), err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.client.Do(request)
	if err != nil {
		return fmt.Errorf("extender: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("failed %s with extender at URL %s, code %d", verb, url, response.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(result); err != nil {
		return fmt.Errorf("extender %s, %s: the answer cannot be read: %w", e.Name(), verb, err)
	}
	return nil
}
