package expression

import (
	"math"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/ext"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
)

// deviceType is what "device" is in selectors of devices: its parts have bounds, so that the cost of an expression has one too.
var deviceType = sync.OnceValue(func() *apiservercel.DeclType {
	byName := func(value *apiservercel.DeclType) *apiservercel.DeclType {
		const each = resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice
		return apiservercel.NewMapType(atMost(apiservercel.StringType, resourcev1.DeviceMaxDomainLength),
			apiservercel.NewMapType(atMost(apiservercel.StringType, resourcev1.DeviceMaxIDLength), value, each), each)
	}
	fields := map[string]*apiservercel.DeclField{}
	for name, t := range map[string]*apiservercel.DeclType{
		"driver":                   atMost(apiservercel.StringType, resourcev1.DriverNameMaxLength),
		"attributes":               byName(atMost(apiservercel.AnyType, resourcev1.DeviceAttributeMaxValueLength)),
		"capacity":                 byName(apiservercel.QuantityDeclType),
		"allowMultipleAllocations": atMost(apiservercel.BoolType, 1),
	} {
		fields[name] = apiservercel.NewDeclField(name, t, true, nil, nil)
	}
	return apiservercel.NewObjectType("kubernetes.DRADevice", fields)
})

func atMost(t *apiservercel.DeclType, elements int64) *apiservercel.DeclType {
	own := *t
	own.MaxElements = elements
	return &own
}

// devices is the environment of selectors of devices.
var devices = sync.OnceValues(func() (*environment.EnvSet, error) {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 31),
		EnvOptions:        []cel.EnvOption{ext.Bindings(ext.BindingsVersion(0)), cel.Variable("device", deviceType().CelType())},
		DeclTypes:         []*apiservercel.DeclType{deviceType()},
	})
})

// CompileDevices compiles a selector of devices (CELDeviceSelector in resource.k8s.io/v1): a condition on "device". cost is the most
// that one evaluation may take, in CEL's units; selectors above resourcev1.CELSelectorExpressionMaxCost are not for storage.
func CompileDevices(text string, mode Mode) (program *Program, cost uint64) {
	set, err := devices()
	if err != nil {
		return failed(text, apiservercel.ErrorTypeInternal, "unexpected error loading CEL environment: "+err.Error(), nil), math.MaxUint64
	}
	env, err := set.Env(mode)
	if err != nil {
		return failed(text, apiservercel.ErrorTypeInternal, "unexpected error loading CEL environment: "+err.Error(), nil), math.MaxUint64
	}
	ast, issues := env.Compile(text)
	if issues != nil {
		return failed(text, apiservercel.ErrorTypeInvalid, "compilation failed: "+issues.String(), apiservercel.NewCompilationError(issues)), math.MaxUint64
	}
	// An attribute may be anything: only a run tells whether it is a condition.
	if t := ast.OutputType(); t != cel.BoolType && t != cel.AnyType {
		return failed(text, apiservercel.ErrorTypeInvalid, "must evaluate to bool or the unknown type, not "+t.String(), nil), math.MaxUint64
	}
	run, err := env.Program(ast, cel.CostLimit(resourcev1.CELSelectorExpressionMaxCost), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return failed(text, apiservercel.ErrorTypeInternal, "program instantiation failed: "+err.Error(), nil), math.MaxUint64
	}
	estimate, err := env.EstimateCost(ast, &library.CostEstimator{SizeEstimator: deviceSizes{}})
	if err != nil {
		return failed(text, apiservercel.ErrorTypeInternal, "cost estimation failed: "+err.Error(), nil), math.MaxUint64
	}
	return &Program{Text: text, Type: ast.OutputType(), program: run}, estimate.Max
}

// deviceSizes tells how large the parts of a device can be.
type deviceSizes struct{}

// EstimateSize implements checker.CostEstimator: nil is unknown.
func (deviceSizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	path := element.Path()
	if len(path) == 0 || path[0] != "device" {
		return nil
	}
	at := deviceType()
	for _, name := range path[1:] {
		switch field := at.Fields[name]; {
		case name == "@keys":
			at = at.KeyType
		case name == "@items", name == "@values":
			at = at.ElemType
		case field != nil:
			at = field.Type
		case at.ElemType != nil && at.ElemType.CelType() == cel.AnyType:
			at = at.ElemType // attributes are as long as each other, whatever they are called
		default:
			return nil
		}
		if at == nil {
			return nil
		}
	}
	return &checker.SizeEstimate{Min: 0, Max: uint64(at.MaxElements)}
}

// EstimateCallCost implements checker.CostEstimator: calls have no cost of their own here.
func (deviceSizes) EstimateCallCost(_, _ string, _ *checker.AstNode, _ []checker.AstNode) *checker.CallEstimate {
	return nil
}
