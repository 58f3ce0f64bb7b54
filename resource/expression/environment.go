// Package expression compiles and runs the CEL expressions of admission: those of webhooks' match conditions and of admission
// policies. Where they stand is validated with it, the server runs them, and a controller checks their types.
// https://kubernetes.io/docs/reference/using-api/cel/
//
// Nothing is built before the first expression: an environment takes megabytes.
package expression

import (
	"sync"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/mutation"
)

// Scope says which variables an expression has beside object, oldObject, request and namespaceObject.
type Scope struct {
	// Params: "params", the object that a binding names.
	Params bool
	// Authorizer: "authorizer" and "authorizer.requestResource".
	Authorizer bool
	// Patch: the types Object and JSONPatch, with which an expression writes a change.
	Patch bool
}

// Mode says which version of the language holds.
type Mode = environment.Type

// New is for expressions that are being written to storage, Stored for those that lie there, which may be of a newer version.
const (
	New    Mode = environment.NewExpressions
	Stored Mode = environment.StoredExpressions
)

// first is the version since which what is declared here has been there.
var first = version.MajorMinor(1, 0)

// environments are built once each, when first asked for.
var environments struct {
	sync.Mutex
	built map[Scope]*environment.EnvSet
}

// environmentOf returns the environment of a scope without composed variables.
func environmentOf(s Scope) (*environment.EnvSet, error) {
	environments.Lock()
	defer environments.Unlock()
	if set := environments.built[s]; set != nil {
		return set, nil
	}
	set, err := declare(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), s, cel.DynType, cel.DynType, nil)
	if err != nil {
		return nil, err
	}
	if environments.built == nil {
		environments.built = map[Scope]*environment.EnvSet{}
	}
	environments.built[s] = set
	return set, nil
}

// declare adds the variables of a scope to an environment. object and params are the types of these variables; known are
// the declarations of such types.
func declare(set *environment.EnvSet, s Scope, object, params *cel.Type, known []*apiservercel.DeclType) (*environment.EnvSet, error) {
	request, namespace := requestType(), namespaceType()
	options := []cel.EnvOption{
		cel.Variable("object", object), cel.Variable("oldObject", object),
		cel.Variable("request", request.CelType()), cel.Variable("namespaceObject", namespace.CelType()),
	}
	if s.Params {
		options = append(options, cel.Variable("params", params))
	}
	if s.Authorizer {
		options = append(options,
			cel.Variable("authorizer", library.AuthorizerType), cel.Variable("authorizer.requestResource", library.ResourceCheckType))
	}
	extended, err := set.Extend(
		environment.VersionedOptions{IntroducedVersion: first, EnvOptions: options, DeclTypes: append(known, namespace, request)},
		environment.StrictCostOpt)
	if err != nil || !s.Patch {
		return extended, err
	}
	// In a step of its own: declared types take the place of what resolves names in the same one.
	return extended.Extend(environment.VersionedOptions{IntroducedVersion: first, EnvOptions: []cel.EnvOption{
		common.ResolverEnvOption(&mutation.DynamicTypeResolver{}), environment.UnversionedLib(library.JSONPatch),
	}})
}

// typedEnvironment returns what builds an environment for each scope in which object and parameters have types of their own; nil: any.
func typedEnvironment(object, params *apiservercel.DeclType) func(Scope) (*environment.EnvSet, error) {
	var known []*apiservercel.DeclType
	types := [2]*cel.Type{cel.DynType, cel.DynType}
	for i, t := range []*apiservercel.DeclType{object, params} {
		if t != nil {
			known, types[i] = append(known, t), t.CelType()
		}
	}
	built := map[Scope]*environment.EnvSet{}
	return func(s Scope) (*environment.EnvSet, error) {
		if built[s] != nil {
			return built[s], nil
		}
		set, err := declare(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), s, types[0], types[1], known)
		if err == nil {
			built[s] = set
		}
		return set, err
	}
}
