package audit

import (
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Auditor is a request.Auditor: a policy, and where its events go.
type Auditor struct {
	policy *Policy
	sink   sink
}

// Begin is request.Auditor.
func (a *Auditor) Begin(w http.ResponseWriter, r *http.Request, s *request.State, long bool) (request.Record, error) {
	v := a.policy.decide(&s.Info, &s.User)
	levelTotal.WithLabelValues(string(v.level)).Inc()
	if v.level == None {
		return nil, nil
	}
	made := &record{auditor: a, verdict: v, state: s, header: w.Header(), long: long, event: Event{
		TypeMeta: metav1.TypeMeta{Kind: "Event", APIVersion: apiVersion}, Level: v.level, AuditID: s.ID,
		RequestURI: r.URL.RequestURI(), Verb: s.Verb, User: userInfo(&s.User), UserAgent: shorten(s.UserAgent),
		RequestReceivedTimestamp: metav1.NewMicroTime(s.Received), ObjectRef: reference(&s.Info),
	}}
	for _, ip := range utilnet.SourceIPs(r) {
		made.event.SourceIPs = append(made.event.SourceIPs, ip.String())
	}
	if !made.emit(RequestReceived, made.event.RequestReceivedTimestamp) {
		rejectedTotal.Inc()
		return nil, apierrors.NewInternalError(errNotStored)
	}
	return made, nil
}

// Close writes what is still buffered. Nothing may be audited after it.
func (a *Auditor) Close() { a.sink.close() }

// longestUserAgent is how much of a User-Agent is recorded.
const longestUserAgent = 1024

func shorten(agent string) string {
	if len(agent) > longestUserAgent {
		return agent[:longestUserAgent] + "...TRUNCATED"
	}
	return agent
}

func userInfo(user *resource.User) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: user.Name, UID: user.UID, Groups: user.Groups}
	for key, values := range user.Extra {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[key] = values
	}
	return info
}

func reference(info *request.Info) *ObjectReference {
	if !info.IsResource {
		return nil
	}
	return &ObjectReference{
		Resource: info.Resource, Namespace: info.Namespace, Name: info.Name, APIGroup: info.Group, APIVersion: info.Version, Subresource: info.Subresource,
	}
}

// now is the time of a stage.
func now() metav1.MicroTime { return metav1.NewMicroTime(time.Now()) }
