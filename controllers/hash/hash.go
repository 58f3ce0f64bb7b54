// Package hash computes the short hashes by which controllers tell Pod templates and revisions apart. They are
// parts of object names and labels, so they must be upstream's to the letter: an upgrade from or to upstream
// would otherwise roll every workload.
package hash

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/dump"
	"k8s.io/apimachinery/pkg/util/rand"
)

// Template returns the hash of a Pod template: the pod-template-hash of Deployments and the controller-revision-hash
// of DaemonSets. collisions, when not nil, is the workload's status.collisionCount.
func Template(template *corev1.PodTemplateSpec, collisions *int32) string {
	sum := fnv.New32a()
	object(sum, *template)
	if collisions != nil {
		var count [8]byte // eight bytes though the count has four: upstream's buffer
		binary.LittleEndian.PutUint32(count[:], uint32(*collisions))
		sum.Write(count[:])
	}
	return rand.SafeEncodeString(fmt.Sprint(sum.Sum32()))
}

// Revision returns the hash of a ControllerRevision's data (FNV-32, not 32a as for templates).
func Revision(data []byte, collisions *int32) string {
	sum := fnv.New32()
	sum.Write(data)
	if collisions != nil {
		sum.Write([]byte(strconv.FormatInt(int64(*collisions), 10)))
	}
	return rand.SafeEncodeString(fmt.Sprint(sum.Sum32()))
}

// object writes an object's dump, in which pointers are followed and map keys sorted.
func object(sum hash.Hash, value any) {
	sum.Reset()
	fmt.Fprintf(sum, "%v", dump.ForHash(value))
}
