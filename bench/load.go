package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// application runs a web server behind a Service and asks it by the Service's name from another Pod.
func (b *bench) application() error {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
	if _, err := b.set.CoreV1().Services("default").Create(context.Background(), service, metav1.CreateOptions{}); err != nil {
		return err
	}
	web := pod("web-0", "sh", "-c", "echo hello > /index.html; exec httpd -f -p 8080 -h /")
	if err := b.until("web-0", ready, func() error { return b.create(web) }); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if page, err := b.exec("first", "timeout", "2", "wget", "-q", "-O", "-", "http://web.default.svc.cluster.local/"); err == nil && strings.Contains(page, "hello") {
			return nil
		}
	}
	return errors.New("the application does not answer")
}

const (
	singles = 20
	crowd   = 50
)

// rest measures a cluster that is up: Pods one by one, a crowd, a killed container, and what it costs when nothing happens.
func (b *bench) rest() error {
	for i := range singles {
		name := fmt.Sprintf("single-%d", i)
		began := time.Now()
		if err := b.run(name); err != nil {
			return err
		}
		b.note("Pod from API create to ready, one by one", 1000*seconds(began), 350, "ms")
	}
	if err := b.killed(); err != nil {
		return err
	}
	began := time.Now()
	var group sync.WaitGroup
	errs := make([]error, crowd)
	for i := range crowd {
		group.Go(func() { errs[i] = b.run(fmt.Sprintf("crowd-%d", i)) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	b.note(fmt.Sprintf("%d Pods at once, all ready", crowd), seconds(began), 8, "s")
	zero := int64(0)
	if err := b.set.CoreV1().Pods("default").DeleteCollection(context.Background(), metav1.DeleteOptions{GracePeriodSeconds: &zero}, metav1.ListOptions{}); err != nil {
		return err
	}
	return b.idle()
}

// killed kills a container's process and waits until the API says that it runs again.
func (b *bench) killed() error {
	for i := range 5 {
		name := fmt.Sprintf("victim-%d", i)
		if err := b.run(name); err != nil {
			return err
		}
		pid, err := b.processOf(name)
		if err != nil {
			return err
		}
		began := time.Now()
		err = b.until(name, func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].RestartCount > 0 && p.Status.ContainerStatuses[0].State.Running != nil
		}, func() error { return syscall.Kill(pid, syscall.SIGKILL) })
		if err != nil {
			return err
		}
		b.note("a killed container seen running again", 1000*seconds(began), 200, "ms")
	}
	return nil
}

// settle is how long a cluster is left alone before it counts as idle.
const settle = 20 * time.Second

func (b *bench) idle() error {
	time.Sleep(settle)
	before, err := b.used()
	if err != nil {
		return err
	}
	time.Sleep(settle)
	after, err := b.used()
	if err != nil {
		return err
	}
	memory, err := b.resident()
	if err != nil {
		return err
	}
	b.note("idle afterwards: CPU of one core", 100*(after-before).Seconds()/settle.Seconds(), 1, "%")
	b.note("idle afterwards: resident memory", memory, 0, "MB")
	return b.freshIdle()
}

// freshIdle measures the memory of a server that has never done anything but start.
func (b *bench) freshIdle() error {
	if err := b.restartEmpty(); err != nil {
		return err
	}
	time.Sleep(settle)
	memory, err := b.resident()
	if err != nil {
		return err
	}
	b.note("idle after a start: resident memory", memory, 120, "MB")
	return nil
}
