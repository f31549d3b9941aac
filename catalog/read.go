package catalog

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The bounds of the tree. A catalog of a real cluster has tens of volumes.
const (
	maxVolumes = 20000   // in one catalog
	maxSlices  = 4096    // of one volume
	maxWeight  = 1 << 31 // of one slice
	maxNesting = 16      // volumes in volumes
)

// reading is the state of one Parse.
type reading struct {
	faults   faults
	volumes  int
	continua map[string]*continuum // computed once for equal slices
}

// catalog reads the document, of the version that it says it has.
func (r *reading) catalog(root *value) *Catalog {
	c := &Catalog{}
	if root.kind != isObject {
		r.faults.at(root, "the catalog has to be an object, but is %s", root.shown())
		return c
	}
	version := root.field("version")
	switch {
	case version == nil:
		r.faults.add(root.child("version", 0), "missing; it has to be 1 or 2")
	case version.kind == isNumber && version.text == "1":
		c.Version = 1
		r.version1(c, root)
	case version.kind == isNumber && version.text == "2":
		c.Version = 2
		r.version2(c, root)
	default:
		r.faults.at(version, "has to be 1 or 2, but is %s", version.shown())
	}
	return c
}

// want reports whether v is of that kind, and notes a fault if not. A nil v is a
// fault of the field that its parent lacks.
func (r *reading) want(parent *value, name string, k kind) *value {
	v := parent.field(name)
	if v == nil {
		r.faults.add(parent.child(name, 0), "missing; it has to be %s", k)
		return nil
	}
	return r.is(v, k)
}

// may is want for a field that may be absent or null.
func (r *reading) may(parent *value, name string, k kind) *value {
	v := parent.field(name)
	if v == nil || v.kind == isNull {
		return nil
	}
	return r.is(v, k)
}

func (r *reading) is(v *value, k kind) *value {
	if v.kind != k {
		r.faults.at(v, "has to be %s, but is %s", k, v.shown())
		return nil
	}
	return v
}

// text is the string in a field that may be absent.
func (r *reading) text(parent *value, name string) string {
	if v := r.may(parent, name, isString); v != nil {
		return v.text
	}
	return ""
}

// integer is the whole number v, from least to most; 0 after a fault.
func (r *reading) integer(v *value, least, most int) int {
	if v == nil || r.is(v, isNumber) == nil {
		return 0
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	switch {
	case err != nil && strings.ContainsAny(v.text, ".eE"):
		r.faults.at(v, "has to be a whole number, but is %s", v.shown())
	case err == nil && n < int64(least):
		r.faults.at(v, "has to be %d or more, but is %s", least, v.shown())
	case err != nil || n > int64(most):
		r.faults.at(v, "has to be %d or less, but is %s", most, v.shown())
	default:
		return int(n)
	}
	return 0
}

// words is the array of strings in a field that may be absent.
func (r *reading) words(parent *value, name string) (words []string) {
	v := r.may(parent, name, isArray)
	if v == nil {
		return nil
	}
	for _, item := range v.items {
		if r.is(item, isString) != nil {
			words = append(words, item.text)
		}
	}
	return words
}

// address reads a volume's address.
func (r *reading) address(v *value) Address {
	if r.is(v, isString) == nil {
		return Address{}
	}
	a, err := ParseAddress(v.text)
	if err != nil {
		r.faults.at(v, "%v", err)
	}
	return a
}

// counted reports whether there is room for one more volume; the first that there
// is no room for is a fault.
func (r *reading) counted(v *value) bool {
	r.volumes++
	if r.volumes == maxVolumes+1 {
		r.faults.at(v, "the catalog has more than %d volumes", maxVolumes)
	}
	return r.volumes <= maxVolumes
}

// placing gives the volume of slices its continuum. v is its "slices".
func (r *reading) placing(v *value, volume *Volume, ties Ties) {
	weights := make([]int, len(volume.Slices))
	seeds := make([]string, len(volume.Slices))
	key, sum := string(ties), 0
	for i, s := range volume.Slices {
		weights[i], seeds[i] = s.Weight, s.seed
		sum += s.Weight
		key += fmt.Sprintf("\x00%d\x00%s", s.Weight, s.seed)
	}
	if sum == 0 {
		r.faults.at(v, "the weights of the slices are all 0")
		return
	}
	if !slices.ContainsFunc(pointCounts(weights), func(n int) bool { return n > 0 }) {
		r.faults.at(v, "no slice has a share that is worth a point of the continuum")
		return
	}
	if r.continua[key] == nil {
		r.continua[key] = newContinuum(weights, seeds, ties)
	}
	volume.continuum = r.continua[key]
}

// once notes addresses that come twice in a dataset: a record would be there twice.
func (r *reading) once(d *Dataset) {
	where := make(map[Address]string)
	d.Volume.walk(func(volume *Volume) {
		if volume.Address == (Address{}) {
			return
		}
		if first, twice := where[volume.Address]; twice {
			r.faults.add(volume.Path, "the address %s is at %s already", volume.Address, first)
			return
		}
		where[volume.Address] = volume.Path
	})
}

// workers reads a number of the original's worker processes.
func (r *reading) workers(v *value) int {
	return r.integer(v, 0, math.MaxInt32)
}
