package crd

import (
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
)

// names are those in use in a group: of resources (plural, singular and short ones share a space) and of kinds (with those of lists).
type names struct{ resources, kinds sets.Set[string] }

func newNames() *names { return &names{sets.New[string](), sets.New[string]()} }

func (n *names) add(accepted *apiextensionsv1.CustomResourceDefinitionNames) {
	n.resources.Insert(accepted.Plural, accepted.Singular)
	n.resources.Insert(accepted.ShortNames...)
	n.kinds.Insert(accepted.Kind, accepted.ListKind)
}

func sameNames(a, b *apiextensionsv1.CustomResourceDefinitionNames) bool {
	return apiequality.Semantic.DeepEqual(a, b)
}

// accept gives a definition those of the wanted names that are its own already, or nobody's. The condition tells the last conflict;
// what conflicts keeps its former name.
func accept(wanted, had *apiextensionsv1.CustomResourceDefinitionNames, used *names) (apiextensionsv1.CustomResourceDefinitionNames, apiextensionsv1.CustomResourceDefinitionCondition) {
	got := *had
	condition := apiextensionsv1.CustomResourceDefinitionCondition{
		Type: apiextensionsv1.NamesAccepted, Status: apiextensionsv1.ConditionTrue, Reason: "NoConflicts", Message: "no conflicts found",
	}
	conflict := func(reason string, taken ...string) {
		condition.Status, condition.Reason, condition.Message = apiextensionsv1.ConditionFalse, reason, inUse(taken)
	}
	one := func(name, former string, into *string, among sets.Set[string], reason string) {
		if name != former && among.Has(name) {
			conflict(reason, name)
			return
		}
		*into = name
	}
	one(wanted.Plural, had.Plural, &got.Plural, used.resources, "PluralConflict")
	one(wanted.Singular, had.Singular, &got.Singular, used.resources, "SingularConflict")
	var taken []string
	for _, short := range wanted.ShortNames {
		if !slices.Contains(had.ShortNames, short) && used.resources.Has(short) {
			taken = append(taken, short)
		}
	}
	if len(taken) > 0 {
		conflict("ShortNamesConflict", taken...)
	} else {
		got.ShortNames = wanted.ShortNames
	}
	one(wanted.Kind, had.Kind, &got.Kind, used.kinds, "KindConflict")
	one(wanted.ListKind, had.ListKind, &got.ListKind, used.kinds, "ListKindConflict")
	got.Categories = wanted.Categories
	return got, condition
}

// inUse lists names in the words of upstream's aggregated errors.
func inUse(taken []string) string {
	texts := make([]string, len(taken))
	for i, name := range taken {
		texts[i] = fmt.Sprintf("%q is already in use", name)
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
