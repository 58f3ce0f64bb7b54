package match

import (
	"errors"
	"reflect"

	"github.com/google/cel-go/common/types"
	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource/expression"
)

// Conditions are the match conditions of one webhook or policy, compiled.
type Conditions []*expression.Program

// conditionScope: conditions of webhooks have no parameters.
var conditionScope = expression.Scope{Authorizer: true}

// CompileConditions compiles the match conditions of a webhook.
func CompileConditions(list []registrationv1.MatchCondition) (*expression.Compiler, Conditions) {
	c := expression.NewCompiler(expression.Stored)
	return c, AddConditions(c, list, conditionScope)
}

// AddConditions compiles match conditions with what a policy composed before.
func AddConditions(c *expression.Compiler, list []registrationv1.MatchCondition, scope expression.Scope) Conditions {
	var all Conditions
	for i := range list {
		all = append(all, c.Compile(list[i].Expression, scope, expression.Bool))
	}
	return all
}

// Hold says whether all conditions are true. One that is false decides, whatever is wrong with others; errors else.
func (c Conditions) Hold(run *expression.Run) (bool, error) {
	budget := int64(expression.ConditionBudget)
	var errs []error
	for _, program := range c {
		value, err, over := run.Eval(program, &budget)
		if over != nil {
			return false, over
		}
		if err != nil {
			errs = append(errs, err)
		}
		if value == types.False {
			return false, nil
		}
	}
	if len(errs) > 0 {
		return false, utilerrors.NewAggregate(errs)
	}
	return true, nil
}

// Input is what expressions see of a request. namespace and params, an object as unstructured content, may be nil.
func (w *World) Input(v *Version, asker *Asker, namespace *corev1.Namespace, params map[string]any) (*expression.Input, error) {
	in := &expression.Input{}
	obj, old, err := v.Content()
	if err != nil {
		return nil, err
	}
	// A nil map must not become an interface that is not nil.
	if obj != nil {
		in.Object = obj
	}
	if old != nil {
		in.OldObject = old
	}
	if in.Request, err = v.Request(); err != nil {
		return nil, err
	}
	if namespace != nil {
		if in.Namespace, err = shownNamespace(namespace); err != nil {
			return nil, err
		}
	}
	if params != nil {
		in.Params = params
	}
	if w.Authorizer == nil {
		return nil, errors.New("there is no authorizer to ask")
	}
	who := &user.DefaultInfo{Name: v.User.Name, UID: v.User.UID, Groups: v.User.Groups, Extra: v.User.Extra}
	in.Authorizer = library.NewAuthorizerVal(who, asker)
	in.RequestResource = library.NewResourceAuthorizerVal(who, asker, target{v})
	return in, nil
}

// shownNamespace leaves out owners and managed fields.
func shownNamespace(n *corev1.Namespace) (map[string]any, error) {
	m := &n.ObjectMeta
	return runtime.DefaultUnstructuredConverter.ToUnstructured(&corev1.Namespace{Spec: n.Spec, Status: n.Status, ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		Generation: m.Generation, CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
		DeletionGracePeriodSeconds: m.DeletionGracePeriodSeconds, Labels: m.Labels, Annotations: m.Annotations, Finalizers: m.Finalizers,
	}})
}

// target is the resource of the request, for "authorizer.requestResource".
type target struct{ v *Version }

func (t target) GetName() string                          { return t.v.Name }
func (t target) GetNamespace() string                     { return NamespaceOf(t.v.Attributes) }
func (t target) GetSubresource() string                   { return t.v.Subresource }
func (t target) GetResource() schema.GroupVersionResource { return t.v.Attributes.Resource }

// Request is the variable "request": an AdmissionRequest without its objects.
func (v *Version) Request() (map[string]any, error) {
	if v.request != nil {
		return v.request, nil
	}
	review := v.Review()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(review)
	v.request = content
	return content, err
}

// Review is the request as webhooks are told of it, without UID and objects.
func (v *Version) Review() *admissionv1.AdmissionRequest {
	a := v.Attributes
	r := &admissionv1.AdmissionRequest{
		Kind: metav1.GroupVersionKind(v.As.Kind), Resource: metav1.GroupVersionResource(v.As.Resource), SubResource: a.Subresource,
		RequestKind: ptr.To(metav1.GroupVersionKind(a.Kind)), RequestResource: ptr.To(metav1.GroupVersionResource(a.Resource)),
		RequestSubResource: a.Subresource, Name: a.Name, Namespace: NamespaceOf(a), Operation: admissionv1.Operation(a.Operation),
		UserInfo: UserInfo(&a.User), DryRun: ptr.To(a.DryRun),
	}
	if a.Options != nil && !reflect.ValueOf(a.Options).IsNil() {
		r.Options.Object = a.Options
	}
	return r
}
