// Package audit records who asked the server for what, and what came of it: a policy says which requests and how much of each, sinks
// write the events to a file or send them to a webhook. https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
package audit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const apiVersion = "audit.k8s.io/v1"

// Level is how much of a request is recorded: each includes the ones before.
type Level string

// The levels of audit.k8s.io/v1.
const (
	None            Level = "None"
	Metadata        Level = "Metadata"
	Request         Level = "Request"
	RequestResponse Level = "RequestResponse"
)

// Stage is when an event is made in the course of a request.
type Stage string

// The stages of audit.k8s.io/v1.
const (
	RequestReceived  Stage = "RequestReceived"
	ResponseStarted  Stage = "ResponseStarted" // of long-running requests only
	ResponseComplete Stage = "ResponseComplete"
	Panic            Stage = "Panic"
)

// Event is an audit.k8s.io/v1 Event.
type Event struct {
	metav1.TypeMeta
	Level                    Level                      `json:"level"`
	AuditID                  string                     `json:"auditID"`
	Stage                    Stage                      `json:"stage"`
	RequestURI               string                     `json:"requestURI"`
	Verb                     string                     `json:"verb"`
	User                     authenticationv1.UserInfo  `json:"user"`
	ImpersonatedUser         *authenticationv1.UserInfo `json:"impersonatedUser,omitempty"`
	AuthenticationMetadata   *AuthenticationMetadata    `json:"authenticationMetadata,omitempty"`
	SourceIPs                []string                   `json:"sourceIPs,omitempty"`
	UserAgent                string                     `json:"userAgent,omitempty"`
	ObjectRef                *ObjectReference           `json:"objectRef,omitempty"`
	ResponseStatus           *metav1.Status             `json:"responseStatus,omitempty"`
	RequestObject            json.RawMessage            `json:"requestObject,omitempty"`
	ResponseObject           json.RawMessage            `json:"responseObject,omitempty"`
	RequestReceivedTimestamp metav1.MicroTime           `json:"requestReceivedTimestamp"`
	StageTimestamp           metav1.MicroTime           `json:"stageTimestamp"`
	Annotations              map[string]string          `json:"annotations,omitempty"`
}

// AuthenticationMetadata says more of how the user was found out.
type AuthenticationMetadata struct {
	// ImpersonationConstraint is the verb that allowed a constrained impersonation (KEP-5284).
	ImpersonationConstraint string `json:"impersonationConstraint,omitempty"`
}

// ObjectReference is what a request is about.
type ObjectReference struct {
	Resource        string `json:"resource,omitempty"`
	Namespace       string `json:"namespace,omitempty"`
	Name            string `json:"name,omitempty"`
	UID             string `json:"uid,omitempty"`
	APIGroup        string `json:"apiGroup,omitempty"`
	APIVersion      string `json:"apiVersion,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
	Subresource     string `json:"subresource,omitempty"`
}

// eventList is what a webhook is sent.
type eventList struct {
	Kind       string          `json:"kind"`
	APIVersion string          `json:"apiVersion"`
	Metadata   metav1.ListMeta `json:"metadata"`
	Items      []*Event        `json:"items"`
}

// legacy is the event as one line of the format "legacy": a part of what it says.
func (e *Event) legacy() string {
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	groups, as, asGroups := "<none>", "<self>", "<lookup>"
	if e.User.Username != "" && len(e.User.Groups) > 0 {
		groups = quoted(e.User.Groups)
	}
	if e.ImpersonatedUser != nil {
		as = e.ImpersonatedUser.Username
		if e.ImpersonatedUser.Groups != nil {
			asGroups = quoted(e.ImpersonatedUser.Groups)
		}
	}
	namespace, response, address := "<none>", "<deferred>", "<unknown>"
	if e.ObjectRef != nil {
		namespace = or(e.ObjectRef.Namespace, namespace)
	}
	if e.ResponseStatus != nil {
		response = strconv.Itoa(int(e.ResponseStatus.Code))
	}
	if len(e.SourceIPs) > 0 {
		address = e.SourceIPs[0]
	}
	return fmt.Sprintf("%s AUDIT: id=%q stage=%q ip=%q method=%q user=%q groups=%q as=%q asgroups=%q user-agent=%q namespace=%q uri=%q response=%q",
		e.RequestReceivedTimestamp.Format(time.RFC3339Nano), e.AuditID, e.Stage, address, e.Verb, or(e.User.Username, "<none>"), groups,
		as, asGroups, e.UserAgent, namespace, e.RequestURI, response)
}

func quoted(list []string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = strconv.Quote(s)
	}
	return strings.Join(parts, ",")
}
