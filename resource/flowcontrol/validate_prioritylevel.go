package flowcontrol

import (
	"fmt"
	"math"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

var specPath = field.NewPath("spec")

// Limits of queues: how many, and how many bits of a request's hash may choose among them.
const (
	maxQueues  = 10_000_000
	maxEntropy = 60
)

func validateLevel(_ *resource.Request, level *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
	spec := &level.Spec
	exempt, limited := specPath.Child("exempt"), specPath.Child("limited")
	errs := core.OneOfIfSet(&spec.Type, specPath.Child("type"), flowcontrolv1.PriorityLevelEnablementExempt, flowcontrolv1.PriorityLevelEnablementLimited)
	switch spec.Type {
	case flowcontrolv1.PriorityLevelEnablementExempt:
		if spec.Limited != nil {
			errs = append(errs, field.Forbidden(limited, "must be nil if the type is Exempt"))
		}
		if spec.Exempt != nil {
			errs = append(errs, shareOf(spec.Exempt.NominalConcurrencyShares, spec.Exempt.LendablePercent, exempt)...)
		}
	case flowcontrolv1.PriorityLevelEnablementLimited:
		if spec.Exempt != nil {
			errs = append(errs, field.Forbidden(exempt, "must be nil if the type is Limited"))
		}
		if spec.Limited == nil {
			errs = append(errs, field.Required(limited, "must not be empty when type is Limited"))
		} else {
			errs = append(errs, limits(spec.Limited, limited)...)
		}
	}
	return errs
}

func validateLevelUpdate(r *resource.Request, level, _ *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
	return validateLevel(r, level)
}

func shareOf(shares, lendable *int32, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if shares != nil && *shares < 0 {
		errs = append(errs, field.Invalid(at.Child("nominalConcurrencyShares"), *shares, "must be a non-negative integer"))
	}
	if lendable != nil && (*lendable < 0 || *lendable > 100) {
		errs = append(errs, field.Invalid(at.Child("lendablePercent"), *lendable, "must be between 0 and 100, inclusive"))
	}
	return errs
}

func limits(l *flowcontrolv1.LimitedPriorityLevelConfiguration, at *field.Path) field.ErrorList {
	errs := shareOf(l.NominalConcurrencyShares, l.LendablePercent, at)
	if b := l.BorrowingLimitPercent; b != nil && *b < 0 {
		errs = append(errs, field.Invalid(at.Child("borrowingLimitPercent"), *b, "if specified, must be a non-negative integer"))
	}
	response, queuing := at.Child("limitResponse"), at.Child("limitResponse", "queuing")
	errs = append(errs, core.OneOfIfSet(&l.LimitResponse.Type, response.Child("type"), flowcontrolv1.LimitResponseTypeQueue, flowcontrolv1.LimitResponseTypeReject)...)
	switch l.LimitResponse.Type {
	case flowcontrolv1.LimitResponseTypeReject:
		if l.LimitResponse.Queuing != nil {
			errs = append(errs, field.Forbidden(queuing, "must be nil if limited.limitResponse.type is not Limited"))
		}
	case flowcontrolv1.LimitResponseTypeQueue:
		if l.LimitResponse.Queuing == nil {
			errs = append(errs, field.Required(queuing, "must not be empty if limited.limitResponse.type is Limited"))
		} else {
			errs = append(errs, queues(l.LimitResponse.Queuing, queuing)...)
		}
	}
	return errs
}

func queues(q *flowcontrolv1.QueuingConfiguration, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	refuse := func(bad bool, name string, value int32, detail string) {
		if bad {
			errs = append(errs, field.Invalid(at.Child(name), value, detail))
		}
	}
	refuse(q.QueueLengthLimit <= 0, "queueLengthLimit", q.QueueLengthLimit, "must be positive")
	refuse(q.Queues <= 0, "queues", q.Queues, "must be positive")
	refuse(q.Queues > maxQueues, "queues", q.Queues, "must not be greater than 10000000")
	switch {
	case q.HandSize <= 0:
		refuse(true, "handSize", q.HandSize, "must be positive")
	case q.HandSize > q.Queues:
		refuse(true, "handSize", q.HandSize, fmt.Sprintf("should not be greater than queues (%d)", q.Queues))
	default:
		bits := int(math.Ceil(math.Log2(float64(q.Queues)) * float64(q.HandSize)))
		refuse(bits > maxEntropy, "handSize", q.HandSize, fmt.Sprintf(
			"required entropy bits of deckSize %d and handSize %d should not be greater than 60", q.Queues, q.HandSize))
	}
	return errs
}
