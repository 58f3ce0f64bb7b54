package controltest

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

// Kubelet returns a controller that stands for scheduler and nodes: every new Pod runs and is ready at once.
func (w *World) Kubelet() reconcile.Controller {
	return w.KubeletThat(func(pod *corev1.Pod) { Ready(pod, time.Now()) })
}

// KubeletThat is Kubelet with a function that says what becomes of a new Pod.
func (w *World) KubeletThat(runs func(*corev1.Pod)) reconcile.Controller {
	pods := w.Informers.Core().V1().Pods().Informer()
	return reconcile.Controller{
		Name: "test-kubelet", Kind: "Pod", Workers: 2, Watches: []reconcile.Watch{{Informer: pods}},
		Reconcile: func(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
			pod, found := index.Get[*corev1.Pod](pods, key.Namespace, key.Name)
			if !found || pod.Status.Phase != "" {
				return reconcile.Result{}, nil
			}
			// This API knows no conflicts: a second look at an old copy would undo what others have written since the first.
			pod, err := w.CoreV1().Pods(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) || err == nil && pod.Status.Phase != "" {
				return reconcile.Result{}, nil
			}
			if err != nil {
				return reconcile.Result{}, err
			}
			runs(pod)
			_, err = w.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
			return reconcile.Result{}, err
		},
	}
}

// Ready makes a Pod running and ready since the given time.
func Ready(pod *corev1.Pod, since time.Time) {
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since),
	}}
}
