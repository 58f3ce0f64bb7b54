package snapshot

import (
	"maps"

	resourcev1 "k8s.io/api/resource/v1"
)

// Devices are the objects of resource.k8s.io that decisions read. Values are shared and never changed.
type Devices struct {
	Claims  map[string]*resourcev1.ResourceClaim // by "namespace/name"
	Slices  map[string]*resourcev1.ResourceSlice
	Classes map[string]*resourcev1.DeviceClass
	// Assumed are claims that a decision has allocated or reserved, before the API server says so.
	Assumed map[string]*resourcev1.ResourceClaim
	// Version changes with every change of any of them.
	Version uint64
}

func (d *Devices) init() {
	*d = Devices{
		Claims: map[string]*resourcev1.ResourceClaim{}, Slices: map[string]*resourcev1.ResourceSlice{},
		Classes: map[string]*resourcev1.DeviceClass{}, Assumed: map[string]*resourcev1.ResourceClaim{},
	}
}

func (d *Devices) clone() Devices {
	return Devices{Claims: maps.Clone(d.Claims), Slices: maps.Clone(d.Slices), Classes: maps.Clone(d.Classes), Assumed: maps.Clone(d.Assumed), Version: d.Version}
}

// Claim finds a claim, in its assumed form if there is one.
func (d *Devices) Claim(key string) *resourcev1.ResourceClaim {
	if claim, ok := d.Assumed[key]; ok {
		return claim
	}
	return d.Claims[key]
}
