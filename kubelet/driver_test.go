package kubelet

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/septet-io/septet/kubelet/cri"
)

// oneAnswer is a runtime that answers one question.
type oneAnswer struct {
	cri.Runtime
	answer *runtimeapi.RuntimeConfigResponse
	err    error
}

func (r oneAnswer) RuntimeConfig(context.Context) (*runtimeapi.RuntimeConfigResponse, error) {
	return r.answer, r.err
}

// kubeadm configures systemd for every node; what counts is what the runtime does.
func TestTheRuntimeSaysHowControlGroupsAreMade(t *testing.T) {
	t.Parallel()
	says := func(driver runtimeapi.CgroupDriver) oneAnswer {
		return oneAnswer{answer: &runtimeapi.RuntimeConfigResponse{Linux: &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: driver}}}
	}
	old := oneAnswer{err: status.Error(codes.Unimplemented, "unknown method")}
	for name, test := range map[string]struct {
		runtime    oneAnswer
		configured string
		want       string
	}{
		"both files":             {says(runtimeapi.CgroupDriver_CGROUPFS), driverFiles, ""},
		"the runtime knows":      {says(runtimeapi.CgroupDriver_CGROUPFS), driverSystemd, ""},
		"systemd":                {says(runtimeapi.CgroupDriver_SYSTEMD), driverFiles, "the container runtime asks for the cgroup driver systemd"},
		"old, files":             {old, driverFiles, ""},
		"old, systemd":           {old, driverSystemd, "the configuration asks for the cgroup driver systemd"},
		"an answer about none":   {oneAnswer{answer: &runtimeapi.RuntimeConfigResponse{}}, driverFiles, ""},
		"a runtime out of order": {oneAnswer{err: errors.New("out of order")}, driverFiles, "out of order"},
	} {
		k := &Kubelet{runtime: test.runtime, config: Config{Configuration: &kubeletconfig.KubeletConfiguration{CgroupDriver: test.configured}}}
		err := k.checkDriver(t.Context())
		if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
