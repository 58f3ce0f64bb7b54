package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	errStopped   = apierrors.NewServiceUnavailable("the server is shutting down")
	errRestarted = newExpired("the watch cache was filled anew; list and watch again")
)

func newExpired(message string) *apierrors.StatusError { return apierrors.NewResourceExpired(message) }

// tooLarge answers for a revision that etcd has not reached; clients know it by its cause and its message.
func tooLarge(asked, current int64) error {
	message := fmt.Sprintf("Too large resource version: %d, current: %d", asked, current)
	err := apierrors.NewTimeoutError(message, 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: message}}
	return err
}

// asStatus turns what etcd, its client or a context reports into the Status that a client gets. What it does not know stays as it is.
func asStatus(resource schema.GroupResource, verb string, err error) error {
	var known apierrors.APIStatus
	if err == nil || errors.As(err, &known) {
		return err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return apierrors.NewTimeoutError(fmt.Sprintf("%s %s: %v", verb, resource, err), 0)
	case errors.Is(err, rpctypes.ErrCompacted):
		return newExpired("the requested resource version is no longer in etcd")
	case is(err, rpctypes.ErrRequestTooLarge), status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max"):
		return apierrors.NewRequestEntityTooLargeError(err.Error())
	case is(err, rpctypes.ErrNoSpace):
		return apierrors.NewInternalError(err)
	case is(err, rpctypes.ErrTooManyRequests):
		return apierrors.NewTooManyRequests(err.Error(), 1)
	case is(err, rpctypes.ErrTimeout), is(err, rpctypes.ErrTimeoutDueToLeaderFail), is(err, rpctypes.ErrTimeoutDueToConnectionLost),
		is(err, rpctypes.ErrTimeoutWaitAppliedIndex), is(err, rpctypes.ErrLeaderChanged), is(err, rpctypes.ErrNoLeader):
		return withMessage(apierrors.NewServerTimeout(resource, verb, 1), err)
	case is(err, rpctypes.ErrStopped), status.Code(err) == codes.Unavailable:
		return apierrors.NewServiceUnavailable(err.Error())
	case status.Code(err) == codes.DeadlineExceeded, status.Code(err) == codes.Canceled:
		return apierrors.NewTimeoutError(fmt.Sprintf("%s %s: %v", verb, resource, err), 0)
	}
	return err // a Status of code 500 without a reason in the end, as upstream answers
}

// status is asStatus for this kind. What ended because the server stops says so.
func (c *Cache) status(verb string, err error) error {
	if err != nil && c.backend.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errStopped
	}
	return asStatus(c.kind.GroupResource(), verb, err)
}

// is compares also with the form that errors have inside the server process.
func is(err, kind error) bool {
	return errors.Is(err, kind) || err.Error() == kind.Error() || rpctypes.ErrorDesc(err) == rpctypes.ErrorDesc(kind)
}

func withMessage(s *apierrors.StatusError, err error) error {
	s.ErrStatus.Message += ": " + err.Error()
	return s
}

// conflict is upstream's answer to a failed precondition.
func conflict(resource schema.GroupResource, name, format string, args ...any) error {
	return apierrors.NewConflict(resource, name, fmt.Errorf(format, args...))
}

// expiredContinue tells that the pages of a list cannot show one revision any more, and how to go on without that.
func expiredContinue(token string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure,
		Code:   http.StatusGone,
		Reason: metav1.StatusReasonExpired,
		Message: "The provided continue parameter is too old to display a consistent list result. You can start a new list without " +
			"the continue parameter, or go on with the token in this response: its pages show a later state.",
		ListMeta: metav1.ListMeta{Continue: token},
	}}
}
