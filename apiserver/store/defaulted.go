package store

import "github.com/septet-io/septet/resource"

// defaulted fills in what it reads.
type defaulted struct {
	Codec
	fill func(resource.Object)
}

// Defaulted reads objects as upstream does: with the kind's defaults filled in, since the writer may have been an older
// server that did not know them, and since the form may lack what defaulting sets (the kinds of a StatefulSet's claim
// templates). Without it an update that changes nothing would look like a change.
func Defaulted(codec Codec, kind *resource.Kind) Codec { return defaulted{codec, kind.Default} }

// Decode reads an object and fills it in.
func (d defaulted) Decode(data []byte) (resource.Object, error) {
	obj, err := d.Codec.Decode(data)
	if err != nil {
		return nil, err
	}
	d.fill(obj)
	return obj, nil
}
