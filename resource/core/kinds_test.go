package core

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

func goodService() *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: corev1.ServiceSpec{
			Ports: []corev1.ServicePort{{Port: 80}}, ClusterIP: "10.96.0.7",
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicySingleStack),
		},
	}
	defaultService(s)
	prepareService(nil, s)
	return s
}

func TestServicesAreRefusedInUpstreamsWords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*corev1.Service)
		want   []string
	}{
		"good": {func(*corev1.Service) {}, nil},
		"ports": {func(s *corev1.Service) {
			s.Spec.Ports = []corev1.ServicePort{
				{Name: "a", Port: 80, Protocol: "TCP", NodePort: 30000}, {Port: 80, Protocol: "TCP"}, {Name: "a", Port: 0, Protocol: "ICMP"},
			}
			defaultService(s)
		}, []string{
			"spec.ports[1].name: Required value",
			`spec.ports[2].name: Duplicate value: "a"`,
			"spec.ports[2].port: Invalid value: 0: must be between 1 and 65535, inclusive",
			`spec.ports[2].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"`,
			"spec.ports[2].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
			"spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
			`spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80,"targetPort":0}`,
		}},
		"addresses": {func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"10.96.0.8", "10.96.0.9"} }, []string{
			`spec.clusterIPs: Invalid value: ["10.96.0.8","10.96.0.9"]: first value must match ` + "`clusterIP`",
			`spec.clusterIPs: Invalid value: ["10.96.0.8","10.96.0.9"]: may specify no more than one IP for each IP family`,
		}},
		"another family": {func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }, []string{
			"spec.clusterIPs[0]: Invalid value: \"10.96.0.7\": expected an IPv6 value as indicated by `ipFamilies[0]`",
		}},
		"external name": {func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }, []string{
			"spec.clusterIPs: Forbidden: may not be set for ExternalName services",
			"spec.ipFamilies: Forbidden: may not be set for ExternalName services",
			"spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services",
			"spec.externalName: Required value",
		}},
		"traffic": {func(s *corev1.Service) {
			s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = "Local", 30001
			s.Spec.AllocateLoadBalancerNodePorts = ptr.To(true)
			s.Spec.ExternalIPs = nil
		}, []string{
			"spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
			`spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services`,
			"spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
		}},
		"loopback": {func(s *corev1.Service) {
			s.Spec.ExternalIPs = []string{"127.0.0.1"}
			defaultService(s)
		}, []string{
			`spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := goodService()
			test.change(s)
			expect(t, validateService(nil, s), test.want...)
		})
	}
}

func TestServicesKeepWhatTheyWereGiven(t *testing.T) {
	t.Parallel()
	update := func(s, old *corev1.Service) []string {
		defaultService(s)
		prepareServiceUpdate(nil, s, old)
		return messages(validateServiceUpdate(nil, s, old))
	}
	t.Run("what the client left out", func(t *testing.T) {
		t.Parallel()
		old := goodService()
		old.Spec.Type = corev1.ServiceTypeNodePort
		old.Spec.Ports[0].NodePort = 30080
		defaultService(old)
		s := &corev1.Service{ObjectMeta: old.ObjectMeta, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 81}},
			IPFamilies: old.Spec.IPFamilies, IPFamilyPolicy: old.Spec.IPFamilyPolicy,
		}}
		if errs := update(s, old); len(errs) > 0 {
			t.Error(errs)
		}
		if s.Spec.ClusterIP != "10.96.0.7" || len(s.Spec.ClusterIPs) != 1 || s.Spec.Ports[0].NodePort != 30080 {
			t.Errorf("lost: %+v", s.Spec)
		}
	})
	t.Run("another address", func(t *testing.T) {
		t.Parallel()
		old, s := goodService(), goodService()
		s.Spec.ClusterIP = "10.96.0.9"
		want := `spec.clusterIPs[0]: Invalid value: ["10.96.0.9"]: may not change once set`
		if errs := update(s, old); len(errs) != 1 || errs[0] != want {
			t.Errorf("got %q, want %q", errs, want)
		}
	})
	t.Run("to an external name", func(t *testing.T) {
		t.Parallel()
		old, s := goodService(), goodService()
		s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
		s.Spec.InternalTrafficPolicy = nil
		if errs := update(s, old); len(errs) > 0 {
			t.Error(errs)
		}
		if s.Spec.ClusterIP != "" || s.Spec.IPFamilies != nil {
			t.Errorf("kept: %+v", s.Spec)
		}
	})
	t.Run("node ports stay when no more are wanted", func(t *testing.T) {
		t.Parallel()
		old := goodService()
		old.Spec.Type, old.Spec.Ports[0].NodePort = corev1.ServiceTypeLoadBalancer, 30080
		defaultService(old)
		s := old.DeepCopy()
		s.Spec.AllocateLoadBalancerNodePorts = ptr.To(false)
		if errs := update(s, old); len(errs) > 0 || s.Spec.Ports[0].NodePort != 30080 {
			t.Errorf("%v, %+v", errs, s.Spec)
		}
	})
	t.Run("node ports go with their type", func(t *testing.T) {
		t.Parallel()
		old := goodService()
		old.Spec.Type, old.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, 30080
		defaultService(old)
		s := old.DeepCopy()
		s.Spec.Type = corev1.ServiceTypeClusterIP
		if errs := update(s, old); len(errs) > 0 {
			t.Error(errs)
		}
		if s.Spec.Ports[0].NodePort != 0 || s.Spec.ExternalTrafficPolicy != "" {
			t.Errorf("kept: %+v", s.Spec)
		}
	})
}

func TestSecretsHoldWhatTheirTypePromises(t *testing.T) {
	t.Parallel()
	for kind, want := range map[corev1.SecretType][]string{
		corev1.SecretTypeOpaque:              {},
		corev1.SecretTypeTLS:                 {"data[tls.crt]: Required value", "data[tls.key]: Required value"},
		corev1.SecretTypeBasicAuth:           {"data[username]: Required value", "data[password]: Required value"},
		corev1.SecretTypeSSHAuth:             {"data[ssh-privatekey]: Required value"},
		corev1.SecretTypeDockerConfigJson:    {"data[.dockerconfigjson]: Required value"},
		corev1.SecretTypeServiceAccountToken: {"metadata.annotations[kubernetes.io/service-account.name]: Required value"},
	} {
		secret := &corev1.Secret{Type: kind}
		if got := messages(validateSecret(nil, secret)); len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
			t.Errorf("%s: got %q, want %q", kind, got, want)
		}
	}
	bad := &corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte("secret!")}}
	expect(t, validateSecret(nil, bad),
		`data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character 's' looking for beginning of value`)

	sealedSecret := &corev1.Secret{Type: corev1.SecretTypeOpaque, Immutable: ptr.To(true), Data: map[string][]byte{"a": []byte("1")}}
	changed := &corev1.Secret{Type: "example.com/own", Data: map[string][]byte{"a": []byte("2")}}
	expect(t, validateSecretUpdate(nil, changed, sealedSecret),
		`type: Invalid value: "example.com/own": field is immutable`,
		"immutable: Forbidden: field is immutable when `immutable` is set",
		"data: Forbidden: field is immutable when `immutable` is set")
}

func TestStringDataBecomesData(t *testing.T) {
	t.Parallel()
	secret := &corev1.Secret{Data: map[string][]byte{"a": []byte("old")}, StringData: map[string]string{"a": "new", "b": "x"}}
	mergeStringData(secret)
	if string(secret.Data["a"]) != "new" || string(secret.Data["b"]) != "x" || secret.StringData != nil || secret.Type != corev1.SecretTypeOpaque {
		t.Errorf("got %+v", secret)
	}
}

func TestClaimsGrowOnly(t *testing.T) {
	t.Parallel()
	claim := func(size string) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, VolumeName: "v",
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": apiresource.MustParse(size)}},
		}}
		DefaultClaim(c)
		c.Status.Phase = corev1.ClaimBound
		c.Status.Capacity = corev1.ResourceList{"storage": apiresource.MustParse("5Gi")}
		return c
	}
	expect(t, validateClaimUpdate(nil, claim("10Gi"), claim("5Gi")))
	expect(t, validateClaimUpdate(nil, claim("8Gi"), claim("10Gi")))
	expect(t, validateClaimUpdate(nil, claim("5Gi"), claim("10Gi")),
		"spec.resources.requests.storage: Forbidden: field can not be less than status.capacity")
	pending := claim("5Gi")
	pending.Status.Phase = corev1.ClaimPending
	fast := pending.DeepCopy()
	fast.Spec.VolumeAttributesClassName = ptr.To("fast")
	expect(t, validateClaimUpdate(nil, fast, pending),
		"spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims")
	other := claim("5Gi")
	other.Spec.VolumeName = "w"
	expect(t, validateClaimUpdate(nil, other, claim("5Gi")),
		"spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims")
	expect(t, validateClaim(nil, &corev1.PersistentVolumeClaim{}),
		"spec.accessModes: Required value: at least 1 access mode is required", "spec.resources[storage]: Required value")
}

// TestClaimsHaveSourcesThatCanBe: what the older of the two fields cannot mean is dropped, as it always was; the newer one is taken at its
// word, but does not reach into other namespaces.
func TestClaimsHaveSourcesThatCanBe(t *testing.T) {
	t.Parallel()
	snapshots, other := ptr.To("snapshot.storage.k8s.io"), ptr.To("populate.example.com")
	local := func(group *string, kind string) *corev1.TypedLocalObjectReference {
		return &corev1.TypedLocalObjectReference{APIGroup: group, Kind: kind, Name: "s"}
	}
	reference := func(group *string, kind string, namespace *string) *corev1.TypedObjectReference {
		return &corev1.TypedObjectReference{APIGroup: group, Kind: kind, Name: "s", Namespace: namespace}
	}
	for name, test := range map[string]struct {
		source, wantSource *corev1.TypedLocalObjectReference
		ref, wantRef       *corev1.TypedObjectReference
	}{
		"a snapshot":             {source: local(snapshots, "VolumeSnapshot"), wantSource: local(snapshots, "VolumeSnapshot"), wantRef: reference(snapshots, "VolumeSnapshot", nil)},
		"a claim":                {source: local(nil, "PersistentVolumeClaim"), wantSource: local(nil, "PersistentVolumeClaim"), wantRef: reference(nil, "PersistentVolumeClaim", nil)},
		"something, the old way": {source: local(other, "Thing")},
		"something, the new way": {ref: reference(other, "Thing", nil), wantSource: local(other, "Thing"), wantRef: reference(other, "Thing", nil)},
		"from another namespace": {ref: reference(nil, "PersistentVolumeClaim", ptr.To("elsewhere"))},
		"both, one too far away": {source: local(other, "Thing"), ref: reference(other, "Thing", ptr.To("elsewhere"))},
		"nothing":                {},
	} {
		claim := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{DataSource: test.source, DataSourceRef: test.ref}}
		prepareClaim(nil, claim)
		if diff := cmp.Diff(test.wantSource, claim.Spec.DataSource); diff != "" {
			t.Errorf("%s: dataSource (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.wantRef, claim.Spec.DataSourceRef); diff != "" {
			t.Errorf("%s: dataSourceRef (-want +got):\n%s", name, diff)
		}
	}
}

func TestClaimsGrowInKnownSteps(t *testing.T) {
	t.Parallel()
	claim := func(name corev1.ResourceName, state corev1.ClaimResourceStatus, amount string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{
			Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"}},
			Status: corev1.PersistentVolumeClaimStatus{
				AllocatedResourceStatuses: map[corev1.ResourceName]corev1.ClaimResourceStatus{name: state},
				AllocatedResources:        corev1.ResourceList{name: apiresource.MustParse(amount)},
			},
		}
	}
	good := claim("storage", "NodeResizePending", "1Gi")
	expect(t, validateClaimStatus(nil, good, good))
	expect(t, validateClaimStatus(nil, claim("storage", "Growing", "-1"), good),
		`status.allocatedResourceStatuses: Unsupported value: "storage": supported values: "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"`,
		`status.allocatedResources[storage]: Invalid value: "-1": must be greater than or equal to 0`)
	expect(t, validateClaimStatus(nil, claim("cpu", "NodeResizePending", "1"), good),
		`status.allocatedResourceStatuses: Unsupported value: "cpu": supported values: "storage"`,
		`status.allocatedResources: Unsupported value: "cpu": supported values: "storage"`)
}

func TestNodesKeepTheirRange(t *testing.T) {
	t.Parallel()
	old := &corev1.Node{Spec: corev1.NodeSpec{PodCIDR: "10.1.0.0/24", ProviderID: "a"}}
	defaultNode(old)
	node := old.DeepCopy()
	node.Spec.PodCIDRs, node.Spec.ProviderID = []string{"10.2.0.0/24"}, "b"
	node.Spec.Taints = []corev1.Taint{{Key: "a", Effect: "NoSchedule"}, {Key: "a", Effect: "NoSchedule"}, {Key: "b", Effect: "Never"}}
	expect(t, validateNodeUpdate(nil, node, old),
		`spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`,
		`spec.providerID: Forbidden: node updates may not change providerID except from "" to valid`,
		`metadata.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule"}: taints must be unique by key and effect pair`,
		`metadata.taints[2].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`)
}

func TestNodesDeclareFeaturesInOrder(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{Status: corev1.NodeStatus{DeclaredFeatures: []string{"GangScheduling", "Resize/memory"}}}
	expect(t, validateNode(nil, node))
	expect(t, validateNodeUpdate(nil, node, node))
	node.Status.DeclaredFeatures = []string{"B", "B", "A", "resize"}
	expect(t, validateNode(nil, node),
		`status.declaredFeatures[1]: Duplicate value: "B"`,
		`status.declaredFeatures[2]: Invalid value: "A": list must be sorted alphabetically`,
		`status.declaredFeatures[3]: Invalid value: "resize": invalid feature name "resize": must start with an UpperCamelCase segment, with subsequent segments `+
			`separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes`)
}

// The source of a kubelet's configuration is gone: nobody can set it any longer, only keep it.
func TestNodesLoseTheirConfigSource(t *testing.T) {
	t.Parallel()
	kind := Nodes()
	with := func() *corev1.Node {
		return &corev1.Node{Spec: corev1.NodeSpec{ConfigSource: &corev1.NodeConfigSource{}}, Status: corev1.NodeStatus{Config: &corev1.NodeConfigStatus{}}}
	}
	made, changed, kept := with(), with(), with()
	kind.PrepareCreate(nil, made)
	kind.PrepareUpdate(nil, changed, &corev1.Node{})
	kind.PrepareUpdate(nil, kept, with())
	if made.Spec.ConfigSource != nil || made.Status.Config != nil || changed.Spec.ConfigSource != nil || kept.Spec.ConfigSource == nil {
		t.Errorf("created %v, set %v, kept %v", made.Spec, changed.Spec, kept.Spec)
	}
	reported := with()
	kind.View("status").Prepare(nil, reported, &corev1.Node{})
	if reported.Status.Config != nil {
		t.Error("a status brought a configuration back")
	}
}

func TestLimitRangesAreInOrder(t *testing.T) {
	t.Parallel()
	limits := &corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer,
		Max:  corev1.ResourceList{"cpu": apiresource.MustParse("1")}, Min: corev1.ResourceList{"cpu": apiresource.MustParse("2")},
		MaxLimitRequestRatio: corev1.ResourceList{"cpu": apiresource.MustParse("500m")},
	}}}}
	expect(t, validateLimitRange(nil, limits),
		`spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1`,
		`spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1`)
}

func TestQuotaScopesFitTheirResources(t *testing.T) {
	t.Parallel()
	quota := &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{
		Hard:   corev1.ResourceList{"pods": apiresource.MustParse("1500m"), "services": apiresource.MustParse("1"), "storage": apiresource.MustParse("1")},
		Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
	}}
	expect(t, validateResourceQuota(nil, quota),
		`spec.hard[pods]: Invalid value: "1500m": must be an integer`,
		`spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota`,
		`spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: unsupported scope applied to resource`,
		`spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: unsupported scope applied to resource`,
		`spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes`)
}

func TestNamespacesGetTheirLabelAndFinalizer(t *testing.T) {
	t.Parallel()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	defaultNamespace(namespace)
	prepareNamespace(&resource.Request{Now: time.Unix(0, 0)}, namespace)
	if namespace.Labels["kubernetes.io/metadata.name"] != "a" || len(namespace.Spec.Finalizers) != 1 || namespace.Status.Phase != corev1.NamespaceActive {
		t.Errorf("got %+v", namespace)
	}
	namespace.Status.Phase = corev1.NamespaceTerminating
	expect(t, validateNamespaceStatus(nil, namespace, nil),
		"status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty")
}

func TestEventsAreAboutTheirNamespace(t *testing.T) {
	t.Parallel()
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}, InvolvedObject: corev1.ObjectReference{Namespace: "b"}}
	expect(t, validateEvent(nil, event), `involvedObject.namespace: Invalid value: "b": does not match event.namespace`)
	event = &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "a"}, EventTime: metav1.NowMicro(), InvolvedObject: corev1.ObjectReference{Namespace: "a"}}
	expect(t, validateEvent(nil, event),
		"reportingComponent: Required value",
		`reportingComponent: Invalid value: "": name part must be non-empty`,
		`reportingComponent: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
		"reportingInstance: Required value", "action: Required value", "reason: Required value")
}

// TestServiceWarnings are those that concern what still works, but not for ever.
func TestServiceWarnings(t *testing.T) {
	t.Parallel()
	s := &corev1.Service{Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ExternalIPs: []string{"192.0.2.1"}, ExternalName: "example.com", SessionAffinity: corev1.ServiceAffinityNone,
		TrafficDistribution: ptr.To(corev1.ServiceTrafficDistributionPreferClose),
	}}
	want := []string{
		"spec.externalIPs is deprecated and may no longer be implemented in some clusters",
		`spec.externalName is ignored when spec.type is not "ExternalName"`,
		`spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"`,
	}
	if got := warnService(nil, s, s); !slices.Equal(got, want) {
		t.Errorf("warnings: %q", got)
	}
}

// TestUnionsNameWhatIsTooMuch in upstream's spelling, typing errors included: clients match on it.
func TestUnionsNameWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	pod := goodPod()
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "two", VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{}, DownwardAPI: &corev1.DownwardAPIVolumeSource{},
		}},
		{Name: "projected", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: ptr.To[int32](0o444),
			Sources: []corev1.VolumeProjection{{
				Secret:    &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}},
				ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}},
			}},
		}}},
	}
	expect(t, validatePod(nil, pod),
		"spec.volumes[0].downwarAPI: Forbidden: may not specify more than 1 volume type",
		"spec.volumes[1].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source")
}
