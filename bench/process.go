package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// processOf finds a Pod's container on this machine by its cgroup.
func (b *bench) processOf(name string) (int, error) {
	p, err := b.set.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	_, id, _ := strings.Cut(p.Status.ContainerStatuses[0].ContainerID, "://")
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && bytes.Contains(text, []byte(id)) {
			return strconv.Atoi(strings.Split(file, "/")[2])
		}
	}
	return 0, fmt.Errorf("the process of pod %s is not to be found", name)
}

// restartEmpty runs a server on an empty directory.
func (b *bench) restartEmpty() error {
	if err := b.down(); err != nil {
		return err
	}
	b.server = exec.Command(b.septet, "server", "--data-dir", b.data, "--write-kubeconfig", "none")
	b.server.Stderr = os.Stderr
	if err := b.server.Start(); err != nil {
		return err
	}
	return b.awaitReady()
}
