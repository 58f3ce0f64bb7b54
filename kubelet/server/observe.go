package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/server/logs"
)

// answer writes v as JSON.
func answer(w http.ResponseWriter, r *http.Request, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(data); err != nil {
		klog.FromContext(r.Context()).V(4).Info("Client went away", "err", err)
	}
}

func podList(pods []*corev1.Pod) *corev1.PodList {
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: make([]corev1.Pod, 0, len(pods))}
	for _, pod := range pods {
		list.Items = append(list.Items, *pod)
	}
	return list
}

func (s *Server) pods(w http.ResponseWriter, r *http.Request) {
	answer(w, r, podList(s.config.Agent.Pods()))
}

func (s *Server) runningPods(w http.ResponseWriter, r *http.Request) {
	pods, err := s.config.Agent.RunningPods(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, r, podList(pods))
}

func (s *Server) configz(w http.ResponseWriter, r *http.Request) {
	answer(w, r, map[string]any{"kubeletconfig": s.config.ConfigZ()})
}

func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	summary, err := s.config.Summary(r.Context(), r.URL.Query().Get("only_cpu_and_memory") == "true")
	if err != nil {
		http.Error(w, "Internal Error: "+err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, r, summary)
}

// containerLogs is what kubectl logs shows in the end.
func (s *Server) containerLogs(w http.ResponseWriter, r *http.Request) {
	options, problem := logOptions(r.URL.Query())
	if problem != "" {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	name := r.PathValue("container")
	pod, ok := s.config.Agent.Pod(r.PathValue("namespace"), r.PathValue("pod"), "")
	if !ok {
		http.Error(w, "pod "+strconv.Quote(r.PathValue("pod"))+" does not exist", http.StatusNotFound)
		return
	}
	if !has(pod, name) {
		http.Error(w, "container "+strconv.Quote(name)+" not found in pod "+strconv.Quote(pod.Name), http.StatusNotFound)
		return
	}
	log, err := s.config.Agent.Log(r.Context(), pod, name, options.Previous)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// Headers go out at once: a client that follows a silent container must not time out.
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/plain")
	flush := func() {
		if err := control.Flush(); err != nil {
			klog.FromContext(r.Context()).V(4).Info("Client went away", "err", err)
		}
	}
	if options.Follow {
		flush()
	}
	if err := logs.Read(r.Context(), log.Path, logs.FromAPI(options, time.Now()), log.Stopped, w, flush); err != nil && r.Context().Err() == nil {
		klog.FromContext(r.Context()).V(2).Info("Log could not be read", "path", log.Path, "err", err)
	}
}

// has says whether a Pod has a container of any sort with the name.
func has(pod *corev1.Pod, name string) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return true
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == name {
			return true
		}
	}
	return false
}

// logOptions decodes a query; problem says what is wrong with it.
func logOptions(query url.Values) (options *corev1.PodLogOptions, problem string) {
	options = &corev1.PodLogOptions{}
	for name, into := range map[string]*bool{"follow": &options.Follow, "previous": &options.Previous, "timestamps": &options.Timestamps} {
		if text := query.Get(name); text != "" {
			value, err := strconv.ParseBool(text)
			if err != nil {
				return nil, "Unable to decode query: " + name
			}
			*into = value
		}
	}
	for name, into := range map[string]**int64{"tailLines": &options.TailLines, "limitBytes": &options.LimitBytes, "sinceSeconds": &options.SinceSeconds} {
		text := query.Get(name)
		if text == "" || name == "tailLines" && text == "all" {
			continue
		}
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil || value < 0 || name != "tailLines" && value == 0 {
			return nil, "Invalid request: " + name + " must be a positive number"
		}
		*into = &value
	}
	if text := query.Get("sinceTime"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, "Unable to decode query: sinceTime"
		}
		if options.SinceSeconds != nil {
			return nil, "Invalid request: at most one of `sinceTime` or `sinceSeconds` may be specified"
		}
		options.SinceTime = &metav1.Time{Time: at}
	}
	if text := query.Get("stream"); text != "" {
		options.Stream = &text
		if text != corev1.LogStreamAll && text != corev1.LogStreamStdout && text != corev1.LogStreamStderr {
			return nil, "Invalid request: stream must be All, Stdout or Stderr"
		}
	}
	return options, ""
}
