package crd

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// decide returns a definition with the status that it should have, the same one if that is what it has. It is a function of the
// definition and of the names that its group uses.
func decide(crd *apiextensionsv1.CustomResourceDefinition, used *names, now time.Time) *apiextensionsv1.CustomResourceDefinition {
	next := crd.DeepCopy()
	changed := false
	set := func(condition apiextensionsv1.CustomResourceDefinitionCondition) {
		changed = setCondition(&next.Status, condition, now) || changed
	}
	if !sameNames(&crd.Spec.Names, &crd.Status.AcceptedNames) || condition(crd, apiextensionsv1.NamesAccepted) == nil {
		accepted, condition := accept(&crd.Spec.Names, &crd.Status.AcceptedNames, used)
		changed = changed || !sameNames(&accepted, &crd.Status.AcceptedNames)
		next.Status.AcceptedNames = accepted
		set(condition)
	}
	set(establish(next))
	if condition, protected := approve(crd); protected {
		set(condition)
	}
	if violated := violations(crd); violated != nil {
		set(*violated)
	} else {
		changed = removeCondition(&next.Status, apiextensionsv1.NonStructuralSchema) || changed
	}
	if !changed {
		return crd
	}
	return next
}

// establish says whether a definition is served from now on. Once it is, it stays so.
func establish(crd *apiextensionsv1.CustomResourceDefinition) apiextensionsv1.CustomResourceDefinitionCondition {
	if established := condition(crd, apiextensionsv1.Established); established != nil && established.Status == apiextensionsv1.ConditionTrue {
		return *established
	}
	c := apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionFalse}
	switch {
	case !isTrue(crd, apiextensionsv1.NamesAccepted):
		c.Reason, c.Message = "NotAccepted", "not all names are accepted"
	case !validBundle(crd.Spec.Conversion):
		c.Reason, c.Message = "InvalidCABundle", "The conversion webhook CABundle is invalid"
	default:
		c.Status, c.Reason, c.Message = apiextensionsv1.ConditionTrue, "InitialNamesAccepted", "the initial names have been accepted"
	}
	return c
}

// validBundle says whether the authorities of a conversion webhook can be read; none are fine.
func validBundle(conversion *apiextensionsv1.CustomResourceConversion) bool {
	if conversion == nil || conversion.Webhook == nil || conversion.Webhook.ClientConfig == nil {
		return true
	}
	bundle := bytes.TrimSpace(conversion.Webhook.ClientConfig.CABundle)
	if len(bundle) == 0 {
		return true
	}
	found := false
	for {
		block, rest := pem.Decode(bundle)
		if block == nil {
			return found
		}
		if block.Type == "CERTIFICATE" && len(block.Headers) == 0 {
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return false
			}
			found = true
		}
		bundle = rest
	}
}

// approve tells how a definition in a group of the Kubernetes community stands to its policy; false for other groups.
// https://github.com/kubernetes/enhancements/pull/1111
func approve(crd *apiextensionsv1.CustomResourceDefinition) (apiextensionsv1.CustomResourceDefinitionCondition, bool) {
	group := "." + crd.Spec.Group
	if !strings.HasSuffix(group, ".k8s.io") && !strings.HasSuffix(group, ".kubernetes.io") {
		return apiextensionsv1.CustomResourceDefinitionCondition{}, false
	}
	const annotation = apiextensionsv1.KubeAPIApprovedAnnotation
	const protected = `protected groups must have approval annotation "` + annotation + `"`
	const see = ", see https://github.com/kubernetes/enhancements/pull/1111"
	c := apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.KubernetesAPIApprovalPolicyConformant, Status: apiextensionsv1.ConditionFalse}
	said := crd.Annotations[annotation]
	u, err := url.ParseRequestURI(said)
	switch {
	case said == "":
		c.Reason, c.Message = "MissingAnnotation", protected+see
	case strings.HasPrefix(said, "unapproved"):
		c.Reason, c.Message = "UnapprovedAnnotation", `not approved: "`+said+`"`
	case err == nil && u.Host != "" && u.Scheme != "":
		c.Status, c.Reason, c.Message = apiextensionsv1.ConditionTrue, "ApprovedAnnotation", "approved in "+said
	default:
		c.Reason, c.Message = "InvalidAnnotation", protected+` with either a URL or a reason starting with "unapproved"`+see
	}
	return c, true
}

// condition returns the condition of a type, nil if there is none.
func condition(crd *apiextensionsv1.CustomResourceDefinition, t apiextensionsv1.CustomResourceDefinitionConditionType) *apiextensionsv1.CustomResourceDefinitionCondition {
	i := slices.IndexFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool { return c.Type == t })
	if i < 0 {
		return nil
	}
	return &crd.Status.Conditions[i]
}

func isTrue(crd *apiextensionsv1.CustomResourceDefinition, t apiextensionsv1.CustomResourceDefinitionConditionType) bool {
	c := condition(crd, t)
	return c != nil && c.Status == apiextensionsv1.ConditionTrue
}

// setCondition sets a condition and says whether that changed anything. Its time is that of the last change of its status.
func setCondition(status *apiextensionsv1.CustomResourceDefinitionStatus, c apiextensionsv1.CustomResourceDefinitionCondition, now time.Time) bool {
	c.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	for i := range status.Conditions {
		old := &status.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
			return false
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return true
	}
	status.Conditions = append(status.Conditions, c)
	return true
}

func removeCondition(status *apiextensionsv1.CustomResourceDefinitionStatus, t apiextensionsv1.CustomResourceDefinitionConditionType) bool {
	kept := slices.DeleteFunc(status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool { return c.Type == t })
	removed := len(kept) < len(status.Conditions)
	status.Conditions = kept
	return removed
}
