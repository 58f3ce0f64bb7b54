package crd

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	celgo "github.com/google/cel-go/cel"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// checker goes down a schema and compiles the rules of each place.
type checker struct {
	known *known
	// unchanged schemas are not held to the bound of a single rule's cost: it was let in before.
	unchanged bool

	errs  field.ErrorList
	total uint64
	// dear are the rules that cost most.
	dear []dear
}

type dear struct {
	path *field.Path
	cost uint64
}

// place is a schema and where it stands.
type place struct {
	schema *structuralschema.Structural
	path   *field.Path
	root   bool
	// typ is the schema as CEL sees it. It is made where the first rule stands, and taken from there by those below.
	typ *apiservercel.DeclType
	// many is how often there can be a value here; nil: as often as the object's size lets.
	many *uint64
	// loose is the outermost place above whose values have no old ones that belong to them; nil if there is none.
	loose *field.Path
}

var one = uint64(1)

// once is a place of which there is one in an object.
var once = &one

func (c *checker) node(p *place) {
	if len(p.schema.XValidations) > 0 {
		c.rules(p)
	}
	for _, name := range slices.Sorted(maps.Keys(p.schema.Properties)) {
		property := p.schema.Properties[name]
		below := p.below(&property, p.path.Child("properties").Key(name))
		below.typ = p.fieldType(name)
		if below.loose == nil && !cel.MapIsCorrelatable(p.schema.XMapType) {
			below.loose = p.path
		}
		c.node(below)
	}
	if a := p.schema.AdditionalProperties; a != nil && a.Structural != nil {
		c.node(p.element(a.Structural, p.path.Child("additionalProperties")))
	}
	if p.schema.Items != nil {
		below := p.element(p.schema.Items, p.path.Child("items"))
		if list := p.schema.XListType; below.loose == nil && (list == nil || *list != "map") {
			below.loose = p.path
		}
		c.node(below)
	}
}

func (p *place) below(schema *structuralschema.Structural, path *field.Path) *place {
	below := &place{schema: schema, path: path, loose: p.loose}
	if elements := mostElements(p.schema); elements != nil && p.many != nil {
		product := times(*p.many, *elements)
		below.many = &product
	}
	return below
}

func (p *place) element(schema *structuralschema.Structural, path *field.Path) *place {
	below := p.below(schema, path)
	if p.typ != nil {
		below.typ = p.typ.ElemType
	}
	return below
}

// fieldType is the type of a property; nil if it is not known yet, or has a name or type that CEL cannot see.
func (p *place) fieldType(name string) *apiservercel.DeclType {
	if p.typ == nil {
		return nil
	}
	escaped, ok := apiservercel.Escape(name)
	if !ok || p.typ.Fields[escaped] == nil {
		return nil
	}
	return p.typ.Fields[escaped].Type
}

// mostElements is how many values a map or list has at most; nil: any number.
func mostElements(s *structuralschema.Structural) *uint64 {
	var most *int64
	switch {
	case s.Type == "object" && s.AdditionalProperties != nil:
		if s.ValueValidation != nil {
			most = s.ValueValidation.MaxProperties
		}
	case s.Type == "array":
		if s.ValueValidation != nil {
			most = s.ValueValidation.MaxItems
		}
	default:
		return once
	}
	if most == nil {
		return nil
	}
	n := uint64(max(*most, 0))
	return &n
}

// times does not overflow.
func times(a, b uint64) uint64 {
	if a != 0 && math.MaxUint64/a < b {
		return math.MaxUint64
	}
	return a * b
}

// rules compiles what stands at a place.
func (c *checker) rules(p *place) {
	path := p.path.Child("x-kubernetes-validations")
	if errs := ruleErrors(p.schema, path); len(errs) > 0 {
		c.errs = append(c.errs, errs...)
		return
	}
	if p.typ == nil {
		if p.typ = model.SchemaDeclType(p.schema, p.root || p.schema.XEmbeddedResource); p.typ == nil {
			c.errs = append(c.errs, field.InternalError(path, fmt.Errorf("internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations")))
			return
		}
	}
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	results, err := cel.Compile(p.schema, p.typ, celconfig.PerCallLimit, base, c.known)
	if err != nil {
		c.errs = append(c.errs, field.InternalError(path, err))
		return
	}
	for i := range results {
		c.rule(p, path.Index(i), &p.schema.XValidations[i], &results[i])
	}
}

// rule reports what is wrong with a compiled rule.
func (c *checker) rule(p *place, path *field.Path, rule *apiextensionsv1.ValidationRule, result *cel.CompilationResult) {
	many := result.MaxCardinality
	if p.many != nil {
		many = *p.many
	}
	c.charge(path.Child("rule"), "estimated rule cost", times(result.MaxCost, many))
	if err := result.Error; err != nil && err.Type == apiservercel.ErrorTypeRequired {
		c.errs = append(c.errs, field.Required(path.Child("rule"), err.Detail))
	} else if err != nil {
		c.errs = append(c.errs, field.Invalid(path.Child("rule"), shown(rule), err.Detail))
	}
	if err := result.MessageExpressionError; err != nil {
		c.errs = append(c.errs, field.Invalid(path.Child("messageExpression"), shown(rule), err.Detail))
	} else if result.MessageExpression != nil {
		c.charge(path.Child("messageExpression"), "estimated messageExpression cost", result.MessageExpressionMaxCost)
	}
	switch {
	case result.UsesOldSelf && p.loose != nil:
		c.errs = append(c.errs, field.Invalid(path.Child("rule"), rule.Rule,
			fmt.Sprintf("oldSelf cannot be used on the uncorrelatable portion of the schema within %v", p.loose)))
	case !result.UsesOldSelf && rule.OptionalOldSelf != nil:
		c.errs = append(c.errs, field.Invalid(path.Child("optionalOldSelf"), *rule.OptionalOldSelf, "may not be set if oldSelf is not used in rule"))
	}
}

// shown is a rule as errors print it.
func shown(rule *apiextensionsv1.ValidationRule) apiextensions.ValidationRule {
	var internal apiextensions.ValidationRule
	_ = apiextensionsv1.Convert_v1_ValidationRule_To_apiextensions_ValidationRule(rule, &internal, nil) // copies fields, never fails
	return internal
}

// charge counts what an expression may cost.
func (c *checker) charge(path *field.Path, name string, cost uint64) {
	if !c.unchanged && cost > maxRuleCost {
		c.errs = append(c.errs, field.Forbidden(path, tooDear(name, cost, maxRuleCost)))
	}
	if math.MaxUint64-c.total < cost {
		c.total = math.MaxUint64
	} else {
		c.total += cost
	}
	if cost < maxVersionCost/100 {
		return
	}
	c.dear = append(c.dear, dear{path, cost})
	slices.SortFunc(c.dear, func(a, b dear) int {
		if a.cost > b.cost {
			return -1
		}
		return 1
	})
	c.dear = c.dear[:min(len(c.dear), 4)]
}

// totalErrors says that the rules of a whole version cost too much, and which ones most.
func (c *checker) totalErrors(path *field.Path) field.ErrorList {
	if c.total <= maxVersionCost {
		return nil
	}
	var errs field.ErrorList
	for _, d := range c.dear {
		errs = append(errs, field.Forbidden(d.path, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"))
	}
	return append(errs, field.Forbidden(path, tooDear("x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", c.total, maxVersionCost)))
}

func tooDear(name string, cost, limit uint64) string {
	factor := fmt.Sprintf("%.1fx", float64(cost)/float64(limit))
	switch times := float64(cost) / float64(limit); {
	case times > 100:
		factor = "more than 100x"
	case times < 1.5:
		factor = fmt.Sprintf("%fx", times)
	}
	return fmt.Sprintf("%s exceeds budget by factor of %s (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)", name, factor)
}

var lineBreak = regexp.MustCompile(`[\n\r]+`)

// reasons are those that a rule may give.
var reasons = []string{
	string(apiextensions.FieldValueRequired), string(apiextensions.FieldValueForbidden),
	string(apiextensions.FieldValueInvalid), string(apiextensions.FieldValueDuplicate),
}

// ruleErrors checks rules as far as that needs no CEL.
func ruleErrors(s *structuralschema.Structural, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range s.XValidations {
		rule, at := &s.XValidations[i], path.Index(i)
		text, message := strings.TrimSpace(rule.Rule), strings.TrimSpace(rule.Message)
		switch {
		case text == "":
			errs = append(errs, field.Required(at.Child("rule"), "rule is not specified"))
		case rule.Message != "" && message == "":
			errs = append(errs, field.Invalid(at.Child("message"), rule.Message, "must be non-empty if specified"))
		case lineBreak.MatchString(message):
			errs = append(errs, field.Invalid(at.Child("message"), rule.Message, "must not contain line breaks"))
		case lineBreak.MatchString(text) && message == "":
			errs = append(errs, field.Required(at.Child("message"), "message must be specified if rule contains line breaks"))
		}
		if rule.MessageExpression != "" && strings.TrimSpace(rule.MessageExpression) == "" {
			errs = append(errs, field.Required(at.Child("messageExpression"), "messageExpression must be non-empty if specified"))
		}
		if rule.Reason != nil && !slices.Contains(reasons, string(*rule.Reason)) {
			errs = append(errs, field.NotSupported(at.Child("reason"), *rule.Reason, slices.Sorted(slices.Values(reasons))))
		}
		errs = append(errs, fieldPathErrors(s, rule.FieldPath, at.Child("fieldPath"))...)
	}
	return errs
}

func fieldPathErrors(s *structuralschema.Structural, text string, at *field.Path) field.ErrorList {
	if text == "" {
		return nil
	}
	var errs field.ErrorList
	if strings.TrimSpace(text) == "" {
		errs = append(errs, field.Invalid(at, text, "must be non-empty if specified"))
	}
	if lineBreak.MatchString(text) {
		errs = append(errs, field.Invalid(at, text, "must not contain line breaks"))
	}
	if _, _, err := cel.ValidFieldPath(text, s); err != nil {
		errs = append(errs, field.Invalid(at, text, "must be a valid path"))
	}
	return errs
}

// RuleEnv is cel.EnvLoader.
func (k *known) RuleEnv(set *environment.EnvSet, expression string) *celgo.Env {
	if k.rules.Has(expression) {
		return set.StoredExpressionsEnv()
	}
	return set.NewExpressionsEnv()
}

// MessageExpressionEnv is cel.EnvLoader.
func (k *known) MessageExpressionEnv(set *environment.EnvSet, expression string) *celgo.Env {
	if k.messages.Has(expression) {
		return set.StoredExpressionsEnv()
	}
	return set.NewExpressionsEnv()
}
