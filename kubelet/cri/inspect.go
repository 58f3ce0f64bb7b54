package cri

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Inspect asks the runtime for all that it holds of one pod.
func Inspect(ctx context.Context, rt Runtime, uid types.UID) (*Pod, error) {
	pods, err := inspect(ctx, rt, ByPod(uid))
	if err != nil {
		return nil, err
	}
	if p := pods[uid]; p != nil {
		return p, nil
	}
	return &Pod{UID: uid}, nil
}

// InspectAll asks the runtime for every pod that it holds.
func InspectAll(ctx context.Context, rt Runtime) (map[types.UID]*Pod, error) {
	return inspect(ctx, rt, nil)
}

func inspect(ctx context.Context, rt Runtime, selector map[string]string) (map[types.UID]*Pod, error) {
	sandboxes, err := rt.ListPodSandbox(ctx, &runtimeapi.PodSandboxFilter{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	containers, err := rt.ListContainers(ctx, &runtimeapi.ContainerFilter{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	pods := map[types.UID]*Pod{}
	podOf := func(labels map[string]string) *Pod {
		uid := types.UID(labels[LabelPodUID])
		if uid == "" {
			return nil // not a container of any kubelet
		}
		p := pods[uid]
		if p == nil {
			p = &Pod{UID: uid, Name: labels[LabelPodName], Namespace: labels[LabelPodNamespace]}
			pods[uid] = p
		}
		return p
	}
	for _, item := range sandboxes {
		p := podOf(item.GetLabels())
		if p == nil {
			continue
		}
		s, err := rt.PodSandboxStatus(ctx, item.GetId())
		if IsNotFound(err) {
			continue // removed since the list
		}
		if err != nil {
			return nil, fmt.Errorf("sandbox %s: %w", item.GetId(), err)
		}
		p.Sandboxes = append(p.Sandboxes, SandboxOf(s))
	}
	for _, item := range containers {
		p := podOf(item.GetLabels())
		if p == nil {
			continue
		}
		s, err := rt.ContainerStatus(ctx, item.GetId(), false)
		if IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("container %s: %w", item.GetId(), err)
		}
		p.Containers = append(p.Containers, ContainerOf(s.GetStatus(), item.GetPodSandboxId()))
	}
	for _, p := range pods {
		p.sort()
	}
	return pods, nil
}

// IsNotFound says whether err is the runtime's answer that there is no such thing.
func IsNotFound(err error) bool { return err != nil && status.Code(err) == codes.NotFound }
