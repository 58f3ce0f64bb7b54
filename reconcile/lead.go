package reconcile

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// Election is a component's candidacy for one Lease. Zero durations mean upstream's 15 s, 10 s and 2 s.
type Election struct {
	// Client reads and writes the Lease.
	Client kubernetes.Interface
	// Namespace and Name of the Lease, for example "kube-system" and "kube-controller-manager".
	Namespace, Name string
	// Identity of this candidate. One that is the same after a restart takes its own Lease back at once instead
	// of waiting until it ends; no two processes may use the same at the same time.
	Identity string
	// LeaseDuration is how long others wait after the last renewal, RenewDeadline how long the leader
	// tries to renew before it gives up, RetryPeriod the pause between two tries.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// Leading, when set, is told of every change.
	Leading func(bool)
}

// Lead stands for election until ctx ends. Each time it wins it calls work, whose ctx ends when the lease is lost;
// then it waits for work to return and stands again. The process is never ended for a lost lease, since it
// may hold other components. An error says that the Election itself is not valid.
func Lead(ctx context.Context, e Election, work func(ctx context.Context)) error {
	config, err := e.config()
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := term(ctx, config, e.Leading, work); err != nil {
			return err
		}
	}
	return nil
}

// term is one candidacy, from standing to having lost or ctx having ended.
func term(ctx context.Context, config leaderelection.LeaderElectionConfig, leading func(bool), work func(ctx context.Context)) error {
	tell := func(is bool) {
		if leading != nil {
			leading(is)
		}
	}
	lock := &watchedLock{Interface: config.Lock}
	worked := make(chan struct{})
	config.Lock = lock
	config.Callbacks = leaderelection.LeaderCallbacks{
		OnStartedLeading: func(ctx context.Context) {
			defer close(worked)
			tell(true)
			work(ctx)
		},
		OnStoppedLeading: func() { tell(false) },
	}
	elector, err := leaderelection.NewLeaderElector(config)
	if err != nil {
		return fmt.Errorf("leader election %q: %w", config.Name, err)
	}
	logger := klog.FromContext(ctx)
	elector.Run(klog.NewContext(ctx, logger.V(2)))
	if !lock.won {
		return nil
	}
	<-worked // Run does not wait for what it started
	if ctx.Err() == nil {
		logger.Info("Lost the lease, standing for election again", "lease", config.Name)
		return nil
	}
	lock.release(logger, config.RenewDeadline)
	return nil
}

// watchedLock knows whether the election was won: client-go tells it only in a goroutine that may come later than the end of the term.
type watchedLock struct {
	resourcelock.Interface
	won bool
}

// RecordEvent implements resourcelock.Interface; client-go calls it in the elector's own goroutine.
func (l *watchedLock) RecordEvent(event string) {
	if event == "became leader" {
		l.won = true
	}
	l.Interface.RecordEvent(event)
}

// release gives the Lease up so that the next candidate need not wait for its end. client-go's own release
// comes before the work has ended; this one is called after it.
func (l *watchedLock) release(logger klog.Logger, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	record, _, err := l.Get(ctx)
	if err == nil {
		if record.HolderIdentity != l.Identity() {
			return
		}
		record.HolderIdentity, record.LeaseDurationSeconds = "", 1
		record.RenewTime = metav1.Now()
		record.AcquireTime = record.RenewTime
		err = l.Update(ctx, *record)
	}
	if err != nil {
		logger.V(2).Info("Could not release the lease, others must wait until it ends", "lease", l.Describe(), "err", err)
	}
}

func (e Election) config() (leaderelection.LeaderElectionConfig, error) {
	if e.Client == nil || e.Namespace == "" || e.Name == "" || e.Identity == "" {
		return leaderelection.LeaderElectionConfig{}, fmt.Errorf("leader election needs a client, a namespace, a name and an identity")
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name},
		Client:     e.Client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: e.Identity, EventRecorder: announcer{e}},
	}
	return leaderelection.LeaderElectionConfig{
		Lock:          lock,
		Name:          e.Name,
		LeaseDuration: orElse(e.LeaseDuration, 15*time.Second),
		RenewDeadline: orElse(e.RenewDeadline, 10*time.Second),
		RetryPeriod:   orElse(e.RetryPeriod, 2*time.Second),
	}, nil
}

// announcer tells of changes of leadership by events of the Lease. There are few, so that each is written as it comes.
type announcer struct{ Election }

// Eventf implements resourcelock.EventRecorder. client-go calls it in the elector's goroutine, which must not wait.
func (a announcer) Eventf(_ runtime.Object, kind, reason, message string, args ...any) {
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: a.Namespace, Name: fmt.Sprintf("%s.%x", a.Name, now.UnixNano())},
		InvolvedObject: corev1.ObjectReference{APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease", Namespace: a.Namespace, Name: a.Name},
		Type:           kind, Reason: reason, Message: fmt.Sprintf(message, args...), Source: corev1.EventSource{Component: a.Name}, ReportingController: a.Name,
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), orElse(a.RenewDeadline, 10*time.Second))
		defer cancel()
		if _, err := a.Client.CoreV1().Events(a.Namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
			klog.Background().V(2).Info("Event was not written", "reason", reason, "message", event.Message, "err", err)
		}
	}()
}

func orElse(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}
