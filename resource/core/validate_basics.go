package core

import (
	"slices"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The small checks that everything else is made of. Each reports at the path given, in the words clients know.

const (
	notPositive = "must be greater than zero"
	notInteger  = "must be an integer"
	manyTypes   = "may not specify more than 1 volume type"
)

// invalidEach makes an error of each message.
func invalidEach[T any](path *field.Path, value T, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, m := range messages {
		errs = append(errs, field.Invalid(path, value, m))
	}
	return errs
}

// DNSLabel checks a value that must be a DNS label.
func DNSLabel(value string, path *field.Path) field.ErrorList {
	return invalidEach(path, value, validation.IsDNS1123Label(value))
}

// DNSSubdomain checks a value that must be a DNS subdomain.
func DNSSubdomain(value string, path *field.Path) field.ErrorList {
	return invalidEach(path, value, validation.IsDNS1123Subdomain(value))
}

// QualifiedName checks a value that must be a name with an optional prefix.
func QualifiedName(value string, path *field.Path) field.ErrorList {
	return invalidEach(path, value, validation.IsQualifiedName(value))
}

// NonNegative checks a number that must not be below zero.
func NonNegative[N ~int32 | ~int64](value N, path *field.Path) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(int64(value), path)
}

// Immutable checks that a field has not changed.
func Immutable(now, old any, path *field.Path) field.ErrorList {
	return apivalidation.ValidateImmutableField(now, old, path)
}

// given demands that a text is not empty.
func given(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return nil
}

// label demands a DNS label; an empty one is missing rather than wrong.
func label(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return DNSLabel(value, path)
}

// OneOf demands one of a few values; an empty one is missing.
func OneOf[S ~string](value S, path *field.Path, allowed ...S) field.ErrorList {
	switch {
	case value == "":
		return field.ErrorList{field.Required(path, "")}
	case !slices.Contains(allowed, value):
		return field.ErrorList{field.NotSupported(path, value, allowed)}
	}
	return nil
}

// oneOfIfSet is OneOf for a field that may be left out.
func oneOfIfSet[S ~string](value *S, path *field.Path, allowed ...S) field.ErrorList {
	if value == nil || slices.Contains(allowed, *value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, *value, allowed)}
}

// portOrName checks a port that may be a number or the name of a container's port.
func portOrName(port intstr.IntOrString, path *field.Path) field.ErrorList {
	if port.Type == intstr.Int {
		return invalidEach(path, port.IntValue(), validation.IsValidPortNum(port.IntValue()))
	}
	return invalidEach(path, port.StrVal, validation.IsValidPortName(port.StrVal))
}

func fileMode(mode *int32, path *field.Path) field.ErrorList {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		return field.ErrorList{field.Invalid(path, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
	}
	return nil
}

func inRange(value, low, high int, path *field.Path) field.ErrorList {
	if value < low || value > high {
		return field.ErrorList{field.Invalid(path, value, validation.InclusiveRangeError(low, high))}
	}
	return nil
}

// noBacksteps refuses paths that climb.
func noBacksteps(path string, at *field.Path) field.ErrorList {
	if slices.Contains(strings.Split(path, "/"), "..") {
		return field.ErrorList{field.Invalid(at, path, "must not contain '..'")}
	}
	return nil
}

// descendingPath demands a relative path that stays below where it starts.
func descendingPath(path string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if strings.HasPrefix(path, "/") {
		errs = append(errs, field.Invalid(at, path, "must be a relative path"))
	}
	return append(errs, noBacksteps(path, at)...)
}

// unreservedPath is a descending path that a node's atomic writer does not use itself.
func unreservedPath(path string, at *field.Path) field.ErrorList {
	errs := descendingPath(path, at)
	if strings.HasPrefix(path, "..") && !strings.HasPrefix(path, "../") {
		errs = append(errs, field.Invalid(at, path, "must not start with '..'"))
	}
	return errs
}
