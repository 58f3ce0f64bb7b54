package garbagecollector

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Owner is one ownerReference with what is known about the owner.
type Owner struct {
	metav1.OwnerReference
	State OwnerState
}

// OwnerState is how an owner stands to its dependents.
type OwnerState int

const (
	// Solid owners exist and stay.
	Solid OwnerState = iota
	// Absent owners do not exist (any more) where the reference says.
	Absent
	// Waiting owners are being deleted and wait until their dependents are gone.
	Waiting
)

// Verdict is what happens to an object because of its owners.
type Verdict struct {
	// Release are the owners whose references are removed, since others keep the object.
	Release []types.UID
	// Unblock sets blockOwnerDeletion to false in all references: the object is in a circle of owners that wait for each other.
	Unblock bool
	// Delete, when not empty, is the policy with which the object is deleted.
	Delete metav1.DeletionPropagation
}

// Judge decides about an object with the given owners and finalizers. dependents are those that the object has itself.
func Judge(owners []Owner, finalizers []string, dependents []Dependent) Verdict {
	byState := map[OwnerState][]types.UID{}
	for _, owner := range owners {
		byState[owner.State] = append(byState[owner.State], owner.UID)
	}
	switch {
	case len(owners) == 0:
		return Verdict{}
	case len(byState[Solid]) > 0:
		return Verdict{Release: append(byState[Absent], byState[Waiting]...)}
	case len(byState[Waiting]) > 0 && len(dependents) > 0:
		// An owner waits for this object, so this object must wait for its own in turn.
		circle := slices.ContainsFunc(dependents, func(d Dependent) bool { return d.Foreground })
		return Verdict{Delete: metav1.DeletePropagationForeground, Unblock: circle}
	}
	// Who deleted the object's owner wanted it gone; how it goes itself is what was asked for it before, if anything was.
	switch {
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return Verdict{Delete: metav1.DeletePropagationOrphan}
	case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		return Verdict{Delete: metav1.DeletePropagationForeground}
	}
	return Verdict{Delete: metav1.DeletePropagationBackground}
}

// Blocking returns the dependents that a foreground deletion still waits for.
func Blocking(dependents []Dependent) []Dependent {
	var blocking []Dependent
	for _, d := range dependents {
		if d.Blocks {
			blocking = append(blocking, d)
		}
	}
	return blocking
}
