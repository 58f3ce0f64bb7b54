package spec

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"
)

// conformance: Environment variables, expansion
func TestExpand(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"A": "1", "B": "2", "EMPTY": ""}
	lookup := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	for in, want := range map[string]string{
		"":                  "",
		"plain":             "plain",
		"$(A)":              "1",
		"x$(A)y$(B)z":       "x1y2z",
		"$(EMPTY)":          "",
		"$(NONE)":           "$(NONE)",
		"$$(A)":             "$(A)",
		"$$$(A)":            "$1",
		"$A":                "$A",
		"$(A":               "$(A",
		"$":                 "$",
		"$$":                "$",
		"$(A$(B))":          "$(A$(B))",
		"--url=http://$(A)": "--url=http://1",
	} {
		if got := Expand(in, lookup); got != want {
			t.Errorf("Expand(%q) is %q, want %q", in, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"", "$(A)", "$$(A)", "$($(A))", "$(", "a$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := Expand(in, func(string) (string, bool) { return "", false })
		if !strings.Contains(in, "$") && got != in {
			t.Errorf("Expand(%q) is %q", in, got)
		}
	})
}

func FuzzParseEnvFile(f *testing.F) {
	for _, seed := range []string{"", "A='b'", "# no\nA='b\nc'\n", "A=b", "='x'", "A='"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		vars, err := ParseEnvFile(in)
		for name := range vars {
			if err == nil && !validName(name) {
				t.Errorf("ParseEnvFile(%q) made a variable named %q", in, name)
			}
		}
	})
}

func TestEnvFilesAreReadStrictly(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]map[string]string{
		"":                             {},
		"A='b'":                        {"A": "b"},
		"# note\n\nA='b'\nB='c d' # x": {"A": "b", "B": "c d"},
		"A='two\nlines'\nB='x'":        {"A": "two\nlines", "B": "x"},
		"A='1'\nA='2'":                 {"A": "2"},
		"A=b":                          nil,
		"A='b":                         nil,
		"A b='c'":                      nil,
		"A='b'c":                       nil,
		"nothing":                      nil,
	} {
		got, err := ParseEnvFile(in)
		if (err != nil) != (want == nil) {
			t.Errorf("ParseEnvFile(%q): %v", in, err)
		}
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			t.Errorf("ParseEnvFile(%q):\n%s", in, diff)
		}
	}
}

// objects are ConfigMaps and Secrets by name.
type objects struct {
	configMaps map[string]map[string]string
	secrets    map[string]map[string]string
}

func (o objects) ConfigMap(_ context.Context, namespace, name string) (*v1.ConfigMap, error) {
	if data, ok := o.configMaps[name]; ok {
		return &v1.ConfigMap{Data: data}, nil
	}
	return nil, apierrors.NewNotFound(v1.Resource("configmaps"), name)
}

func (o objects) Secret(_ context.Context, namespace, name string) (*v1.Secret, error) {
	data, ok := o.secrets[name]
	if !ok {
		return nil, apierrors.NewNotFound(v1.Resource("secrets"), name)
	}
	s := &v1.Secret{Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s, nil
}

func testNode() *Node {
	return &Node{
		Name: "n", Hostname: "n", IPs: func() []net.IP { return []net.IP{net.IPv4(10, 1, 1, 1)} },
		Allocatable: func() v1.ResourceList {
			return v1.ResourceList{v1.ResourceCPU: resource.MustParse("4"), v1.ResourceMemory: resource.MustParse("8Gi")}
		},
		MemoryCapacity: 8 << 30, RootDir: "/r", LogsDir: "/l", ClusterDomain: "cluster.local", ClusterDNS: []string{"10.96.0.10"}, CFSQuota: true,
	}
}

// conformance: ConfigMap, from environment variables
// conformance: DownwardAPI, environment for name, namespace and ip
// conformance: Secrets, pod environment field
// conformance: DownwardAPI, environment for host ip
func TestAnEnvironmentIsResolvedInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "vars"), []byte("KEY='from file'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	field := func(path string) *v1.EnvVarSource {
		return &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: path}}
	}
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u", Labels: map[string]string{"app": "web"}},
		Spec: v1.PodSpec{NodeName: "n", Containers: []v1.Container{{
			Name:      "c",
			Resources: v1.ResourceRequirements{Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("1500m")}},
			EnvFrom: []v1.EnvFromSource{
				{Prefix: "P_", ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "cm"}}},
				{SecretRef: &v1.SecretEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "none"}, Optional: ptr.To(true)}},
			},
			Env: []v1.EnvVar{
				{Name: "NAME", ValueFrom: field("metadata.name")},
				{Name: "LABEL", ValueFrom: field("metadata.labels['app']")},
				{Name: "IP", ValueFrom: field("status.podIP")},
				{Name: "HOST", ValueFrom: field("status.hostIP")},
				{Name: "CPU", ValueFrom: &v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "requests.cpu"}}},
				{Name: "MEMORY", ValueFrom: &v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
				{Name: "SECRET", ValueFrom: &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "s"}, Key: "k"}}},
				{Name: "FILE", ValueFrom: &v1.EnvVarSource{FileKeyRef: &v1.FileKeySelector{VolumeName: "v", Path: "vars", Key: "KEY"}}},
				{Name: "ALL", Value: "$(NAME)/$(P_key)/$(WEB_SERVICE_HOST)/$(NONE)"},
				{Name: "P_key", Value: "changed"},
			},
		}}},
	}
	env, err := MakeEnv(context.Background(), pod, &pod.Spec.Containers[0], EnvInput{
		Node: testNode(), Services: map[string]string{"WEB_SERVICE_HOST": "10.0.0.9", "NAME": "lost"}, PodIPs: []string{"10.244.0.5"},
		Objects: objects{configMaps: map[string]map[string]string{"cm": {"key": "value", "a=b": "bad"}}, secrets: map[string]map[string]string{"s": {"k": "hidden"}}},
		Volumes: map[string]Volume{"v": {HostPath: dir}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, kv := range env.List() {
		got = append(got, kv.GetKey()+"="+string(kv.GetValue()))
	}
	want := []string{
		"P_key=changed", "NAME=p", "LABEL=web", "IP=10.244.0.5", "HOST=10.1.1.1", "CPU=2", "MEMORY=8192", "SECRET=hidden", "FILE=from file",
		"ALL=p/value/10.0.0.9/$(NONE)", "WEB_SERVICE_HOST=10.0.0.9",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(env.Skipped) != 1 || !strings.Contains(env.Skipped[0], "P_a=b") {
		t.Errorf("skipped: %q", env.Skipped)
	}
	pod.Spec.Containers[0].Env = []v1.EnvVar{{Name: "X", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "cm"}, Key: "no"}}}}
	_, err = MakeEnv(context.Background(), pod, &pod.Spec.Containers[0], EnvInput{Node: testNode(), Objects: objects{configMaps: map[string]map[string]string{"cm": {}}}})
	if err == nil || err.Error() != "couldn't find key no in ConfigMap ns/cm" {
		t.Errorf("error is %v", err)
	}
}

// conformance: Pods, service environment variables
func TestServicesBecomeVariables(t *testing.T) {
	t.Parallel()
	service := func(ns, name, ip string, ports ...v1.ServicePort) *v1.Service {
		return &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: v1.ServiceSpec{ClusterIP: ip, Ports: ports}}
	}
	services := []*v1.Service{
		service("ns", "my-web", "10.0.0.1", v1.ServicePort{Name: "http", Port: 80}),
		service("other", "db", "10.0.0.2", v1.ServicePort{Port: 5432}),
		service("default", "kubernetes", "10.0.0.3", v1.ServicePort{Name: "https", Port: 443}),
		service("ns", "headless", "None", v1.ServicePort{Port: 1}),
	}
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns"}}
	env := ServiceEnv(pod, services)
	for name, want := range map[string]string{
		"MY_WEB_SERVICE_HOST": "10.0.0.1", "MY_WEB_SERVICE_PORT": "80", "MY_WEB_SERVICE_PORT_HTTP": "80", "MY_WEB_PORT": "tcp://10.0.0.1:80",
		"MY_WEB_PORT_80_TCP_ADDR": "10.0.0.1", "MY_WEB_PORT_80_TCP_PROTO": "tcp", "KUBERNETES_SERVICE_HOST": "10.0.0.3", "DB_SERVICE_HOST": "", "HEADLESS_SERVICE_HOST": "",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	pod.Spec.EnableServiceLinks = ptr.To(false)
	if env := ServiceEnv(pod, services); env["MY_WEB_SERVICE_HOST"] != "" || env["KUBERNETES_SERVICE_HOST"] == "" {
		t.Errorf("without links: %v", env)
	}
}

// conformance: DNS, custom dnsConfig
func TestDNSFollowsThePolicy(t *testing.T) {
	t.Parallel()
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("# host\nnameserver 192.0.2.1\nsearch example.org.\noptions timeout:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	node := testNode()
	node.ResolvConf = resolv
	for name, test := range map[string]struct {
		spec v1.PodSpec
		want *runtimeapi.DNSConfig
	}{
		"ClusterFirst": {v1.PodSpec{DNSPolicy: v1.DNSClusterFirst}, &runtimeapi.DNSConfig{
			Servers: []string{"10.96.0.10"}, Searches: []string{"ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org"}, Options: []string{"ndots:5"}}},
		"the node's network": {v1.PodSpec{DNSPolicy: v1.DNSClusterFirst, HostNetwork: true}, &runtimeapi.DNSConfig{
			Servers: []string{"192.0.2.1"}, Searches: []string{"example.org"}, Options: []string{"timeout:1"}}},
		"None": {v1.PodSpec{DNSPolicy: v1.DNSNone, DNSConfig: &v1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}, Searches: []string{"x"}, Options: []v1.PodDNSConfigOption{{Name: "ndots", Value: ptr.To("2")}}}},
			&runtimeapi.DNSConfig{Servers: []string{"1.1.1.1"}, Searches: []string{"x"}, Options: []string{"ndots:2"}}},
	} {
		got, _, err := DNS(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns"}, Spec: test.spec}, node)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != test.want.String() {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestResourcesBecomeLimits(t *testing.T) {
	t.Parallel()
	list := func(cpu, memory string) v1.ResourceList {
		out := v1.ResourceList{}
		if cpu != "" {
			out[v1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			out[v1.ResourceMemory] = resource.MustParse(memory)
		}
		return out
	}
	for name, test := range map[string]struct {
		requests, limits             v1.ResourceList
		shares, quota, memory, score int64
		class                        v1.PodQOSClass
	}{
		"nothing":    {list("", ""), list("", ""), 2, 0, 0, 1000, v1.PodQOSBestEffort},
		"guaranteed": {list("500m", "1Gi"), list("500m", "1Gi"), 512, 50000, 1 << 30, -997, v1.PodQOSGuaranteed},
		"burstable":  {list("100m", "2Gi"), list("", "4Gi"), 102, 0, 4 << 30, 750, v1.PodQOSBurstable},
		"limit only": {nil, list("1m", ""), 2, 1000, 0, 999, v1.PodQOSBurstable},
	} {
		pod := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{Requests: test.requests, Limits: test.limits}}}}}
		got := Resources(pod, &pod.Spec.Containers[0], testNode())
		if got.CpuShares != test.shares || got.CpuQuota != test.quota || got.MemoryLimitInBytes != test.memory || got.OomScoreAdj != test.score || QOS(pod) != test.class {
			t.Errorf("%s: %v, class %s", name, got, QOS(pod))
		}
	}
}

func TestRequestsCountInitContainersOnce(t *testing.T) {
	t.Parallel()
	container := func(cpu string, sidecar bool) v1.Container {
		c := v1.Container{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu)}}}
		if sidecar {
			c.RestartPolicy = ptr.To(v1.ContainerRestartPolicyAlways)
		}
		return c
	}
	for name, test := range map[string]struct {
		inits, regular []v1.Container
		want           string
	}{
		"sum":                   {nil, []v1.Container{container("1", false), container("2", false)}, "3"},
		"a larger init":         {[]v1.Container{container("5", false)}, []v1.Container{container("1", false)}, "5"},
		"sidecars add":          {[]v1.Container{container("1", true)}, []v1.Container{container("1", false)}, "2"},
		"init beside a sidecar": {[]v1.Container{container("1", true), container("3", false)}, []v1.Container{container("1", false)}, "4"},
	} {
		got := Requests(&v1.Pod{Spec: v1.PodSpec{InitContainers: test.inits, Containers: test.regular}})
		if got.Cpu().Cmp(resource.MustParse(test.want)) != 0 {
			t.Errorf("%s: %s, want %s", name, got.Cpu(), test.want)
		}
	}
}

func TestRootIsRefusedWhereItMustNotBe(t *testing.T) {
	t.Parallel()
	nonRoot := &v1.SecurityContext{RunAsNonRoot: ptr.To(true)}
	for name, test := range map[string]struct {
		sc   *v1.SecurityContext
		uid  *int64
		user string
		bad  bool
	}{
		"no rule":              {nil, ptr.To[int64](0), "", false},
		"image runs as root":   {nonRoot, ptr.To[int64](0), "", true},
		"image says nothing":   {nonRoot, nil, "", true},
		"image has a number":   {nonRoot, ptr.To[int64](7), "", false},
		"image has a name":     {nonRoot, nil, "www", true},
		"container has a user": {&v1.SecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](9)}, nil, "www", false},
		"container asks root":  {&v1.SecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](0)}, ptr.To[int64](7), "", true},
	} {
		if err := CheckNonRoot(&v1.Pod{}, &v1.Container{SecurityContext: test.sc}, test.uid, test.user); (err != nil) != test.bad {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// conformance: VolumeSubpathEnvExpansion, subpath with absolute path
// conformance: VolumeSubpathEnvExpansion, subpath with backticks
func TestSubPathsMayNotLeaveTheirVolume(t *testing.T) {
	t.Parallel()
	env := &Env{values: map[string]string{"ABS": "/etc", "UP": "..", "OK": "a"}}
	for expr, want := range map[string]string{"$(OK)/b": "a/b", "$(ABS)": "", "$(UP)/x": "", "$(NONE)": "", "..": ""} {
		got, err := expandSubPath(&v1.VolumeMount{SubPathExpr: expr}, env)
		if (err == nil) != (want != "") || got != want && err == nil {
			t.Errorf("%q: %q, %v", expr, got, err)
		}
	}
}

func BenchmarkContainer(b *testing.B) {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"}, Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Image: "i", TerminationMessagePath: "/t"}}}}
	node := testNode()
	b.ReportAllocs()
	for b.Loop() {
		env, err := MakeEnv(context.Background(), pod, &pod.Spec.Containers[0], EnvInput{Node: node})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Container(pod, &pod.Spec.Containers[0], ContainerInput{Node: node, Env: env, PodIPs: []string{"10.0.0.1"}}); err != nil {
			b.Fatal(err)
		}
	}
}
