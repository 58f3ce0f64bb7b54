package connect

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/authn/serviceaccount"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
)

var tokenKind = schema.GroupVersionKind{Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"}

const (
	defaultTokenSeconds = 3600
	leastTokenSeconds   = 600
	mostTokenSeconds    = 1 << 32
	year                = 365 * 24 * 3600
	// podTokenSeconds is what kubelets ask for, for the default token of Pods: an hour and seven seconds, which tells
	// it from what people ask for. Such tokens are extended, and said to be worth a warning after an hour.
	podTokenSeconds = 3607
)

// token signs a token for a service account (TokenRequest).
func (c *connector) token(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	if err := allowMethods(r, conn, http.MethodPost); err != nil {
		return err
	}
	if c.Signer == nil {
		return apierrors.NewInternalError(fmt.Errorf("this server has no key to sign service account tokens with"))
	}
	account, err := get[*corev1.ServiceAccount](r.Context(), c, accountsResource, conn.Key, "")
	if err != nil {
		return err
	}
	req := &authenticationv1.TokenRequest{}
	if err := rest.Body(r, req, tokenKind); err != nil {
		return err
	}
	if err := matchAccount(req, account); err != nil {
		return err
	}
	req.Name, req.Namespace, req.CreationTimestamp, req.Status = account.Name, account.Namespace, metav1.Now(), authenticationv1.TokenRequestStatus{}
	if req.Spec.ExpirationSeconds == nil {
		seconds := int64(defaultTokenSeconds)
		req.Spec.ExpirationSeconds = &seconds
	}
	if len(req.Spec.Audiences) == 0 {
		req.Spec.Audiences = c.Audiences
	}
	dry := request.Query(r)["dryRun"]
	attributes := &admission.Attributes{Operation: admission.Create, Kind: tokenKind, Object: req, DryRun: len(dry) > 0, Options: &metav1.CreateOptions{DryRun: dry}}
	if err := conn.Resource.Admit(r, attributes); err != nil {
		return err
	}
	if errs := validateTokenRequest(req); len(errs) > 0 {
		return apierrors.NewInvalid(tokenKind.GroupKind(), "", errs)
	}
	claims, err := c.claims(r.Context(), req, account)
	if err != nil {
		return err
	}
	if req.Status.Token, err = c.Signer.Sign(claims); err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	request.Write(w, r, http.StatusCreated, tokenKind, req)
	return nil
}

func matchAccount(req *authenticationv1.TokenRequest, account *corev1.ServiceAccount) error {
	for _, check := range []struct{ what, in, is string }{
		{"metadata.name", req.Name, account.Name}, {"metadata.namespace", req.Namespace, account.Namespace}, {"metadata.uid", string(req.UID), string(account.UID)},
	} {
		if check.in != "" && check.in != check.is {
			return apierrors.NewBadRequest(fmt.Sprintf("the %s of the token request (%s) is not that of the service account (%s)", check.what, check.in, check.is))
		}
	}
	return nil
}

func validateTokenRequest(req *authenticationv1.TokenRequest) field.ErrorList {
	var errs field.ErrorList
	path, seconds := field.NewPath("spec", "expirationSeconds"), *req.Spec.ExpirationSeconds
	if seconds < leastTokenSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration less than 10 minutes"))
	}
	if seconds > mostTokenSeconds {
		errs = append(errs, field.Invalid(path, seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	return errs
}

// claims are what the token will say; the request's status gets its end.
func (c *connector) claims(ctx context.Context, req *authenticationv1.TokenRequest, account *corev1.ServiceAccount) (*serviceaccount.Claims, error) {
	now := time.Now()
	seconds := *req.Spec.ExpirationSeconds
	longest := c.MaxTokenSeconds
	if longest == 0 {
		longest = year
	}
	seconds = min(seconds, longest)
	*req.Spec.ExpirationSeconds = seconds
	req.Status.ExpirationTimestamp = metav1.NewTime(now.Add(time.Duration(seconds) * time.Second).Truncate(time.Second))
	bound := &serviceaccount.Bound{
		Namespace: account.Namespace, ServiceAccount: serviceaccount.Ref{Name: account.Name, UID: string(account.UID)},
	}
	if err := c.bindToken(ctx, req.Spec.BoundObjectRef, account, bound); err != nil {
		return nil, err
	}
	valid := seconds
	if c.ExtendTokens && seconds == podTokenSeconds && bound.Pod != nil && slices.Equal(req.Spec.Audiences, c.Audiences) {
		valid = min(year, max(longest, seconds))
		bound.WarnAfter = jwt.NewNumericDate(now.Add(time.Duration(seconds) * time.Second))
	}
	return &serviceaccount.Claims{
		Claims: jwt.Claims{
			ID: uuid.NewString(), Subject: serviceaccount.UserName(account.Namespace, account.Name), Audience: req.Spec.Audiences,
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Duration(valid) * time.Second)),
		},
		Kubernetes: bound,
	}, nil
}

// bindToken looks up what a token is to be bound to.
func (c *connector) bindToken(ctx context.Context, ref *authenticationv1.BoundObjectReference, account *corev1.ServiceAccount, bound *serviceaccount.Bound) error {
	if ref == nil {
		return nil
	}
	key := store.Key{Namespace: account.Namespace, Name: ref.Name}
	var uid types.UID
	made := &serviceaccount.Ref{Name: ref.Name}
	switch gv, kind := ref.APIVersion, ref.Kind; {
	case gv == "v1" && kind == "Pod":
		pod, err := get[*corev1.Pod](ctx, c, podsResource, key, "")
		if err != nil {
			return err
		}
		if pod.Spec.ServiceAccountName != account.Name {
			return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account.Name))
		}
		uid, bound.Pod = pod.UID, made
		if err := c.bindNode(ctx, pod, bound); err != nil {
			return err
		}
	case gv == "v1" && kind == "Secret":
		secret, err := get[*corev1.Secret](ctx, c, secretsResource, key, "")
		if err != nil {
			return err
		}
		uid, bound.Secret = secret.UID, made
	case gv == "v1" && kind == "Node":
		node, err := get[*corev1.Node](ctx, c, nodesResource, store.Key{Name: ref.Name}, "")
		if err != nil {
			return err
		}
		uid, bound.Node = node.UID, made
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s, Kind=%s", gv, kind))
	}
	made.UID = string(uid)
	if ref.UID != "" && ref.UID != uid {
		return apierrors.NewConflict(schema.GroupResource{Resource: ref.Kind}, ref.Name, fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return nil
}

// bindNode adds the node of a Pod, for those who verify the token to know.
func (c *connector) bindNode(ctx context.Context, pod *corev1.Pod, bound *serviceaccount.Bound) error {
	if pod.Spec.NodeName == "" {
		return nil
	}
	bound.Node = &serviceaccount.Ref{Name: pod.Spec.NodeName}
	node, err := get[*corev1.Node](ctx, c, nodesResource, store.Key{Name: pod.Spec.NodeName}, "0")
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	bound.Node.UID = string(node.UID)
	return nil
}
