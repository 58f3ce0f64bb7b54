package kubelet

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

// The ways of making control groups. Ours is to write the kernel's files.
const driverFiles, driverSystemd = "cgroupfs", "systemd"

// checkDriver compares the runtime's way of making control groups with ours. What the runtime says counts more than the
// configuration (KEP-4033): kubeadm configures systemd for every node, whatever its runtime does.
func (k *Kubelet) checkDriver(ctx context.Context) error {
	configured := k.config.Configuration.CgroupDriver
	answer, err := k.runtime.RuntimeConfig(ctx)
	if status.Code(err) == codes.Unimplemented {
		return supported(configured, "the configuration")
	}
	if err != nil {
		return fmt.Errorf("cgroup driver of the container runtime: %w", err)
	}
	linux := answer.GetLinux()
	if linux == nil {
		return supported(configured, "the configuration")
	}
	found := driverSystemd
	if linux.CgroupDriver == runtimeapi.CgroupDriver_CGROUPFS {
		found = driverFiles
	}
	if found != configured {
		klog.FromContext(ctx).V(1).Info("The cgroup driver is the container runtime's", "driver", found, "configured", configured)
	}
	return supported(found, "the container runtime")
}

func supported(driver, who string) error {
	if driver != driverFiles {
		return fmt.Errorf("%s asks for the cgroup driver %s, only %s is supported", who, driver, driverFiles)
	}
	return nil
}
