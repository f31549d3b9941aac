package catalog

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// slicerHash is the one slicer that places records.
const slicerHash = "hash"

// pointsPerSlice is how many points a slice of average weight has.
const pointsPerSlice = 160

// Ties says in which order points of the continuum that are equal stand.
//
// It matters more than it seems. The original names the points of version 2 after
// the dataset, not after the slice: "Default:0", "Default:1", … are the points of
// every slice. So all points are tied, and the order that Ruby's Array#sort happens
// to give them decides everything. See docs/adr/0009-droonga-placement.md.
type Ties string

const (
	// TiesRuby22 is the order of Ruby up to 2.2, which the engine was made for and
	// installed with. Its sort shuffles ties in a way that is always the same, and
	// spreads the records well. It is the default.
	TiesRuby22 Ties = "ruby-2.2"
	// TiesStable is the order of Ruby from 2.3 on with the GNU C library: the sort
	// is stable, the first slice with a point has it, so that of slices with equal
	// weights the first gets nearly everything. Only for data placed that way.
	TiesStable Ties = "stable"
)

// point is one point of the continuum: the records whose hash is at most at, and
// above the point before, are the slice's.
type point struct {
	at    uint32
	slice int
}

// continuum places hashes on slices.
type continuum struct {
	points []point // sorted by at
	counts []int   // how many each slice has
	ties   Ties
}

// newContinuum computes the points of slices with these weights. seeds are what
// each slice's points are named after. The sum of the weights is not 0.
func newContinuum(weights []int, seeds []string, ties Ties) *continuum {
	c := &continuum{counts: pointCounts(weights), ties: ties}
	for i, n := range c.counts {
		for k := range n {
			name := sha1.Sum([]byte(seeds[i] + ":" + strconv.Itoa(k)))
			c.points = append(c.points, point{binary.BigEndian.Uint32(name[:]), i})
		}
	}
	if ties == TiesStable {
		sort.SliceStable(c.points, func(i, k int) bool { return c.points[i].at < c.points[k].at })
	} else {
		sortAsRuby22(c.points)
	}
	return c
}

// pointCounts is how many points each slice gets: its share by weight, rounded down.
func pointCounts(weights []int) []int {
	total := 0
	for _, w := range weights {
		total += w
	}
	counts := make([]int, len(weights))
	for i, w := range weights {
		counts[i] = len(weights) * pointsPerSlice * w / total
	}
	return counts
}

// place is the slice of a hash: that of the point that equals it if the search
// meets one, else that of the first point above. Above the last point there is no
// wrapping around: the last point has it. The steps of the search are part of the
// placement, since they decide between points that are tied.
func (c *continuum) place(hash uint32) int {
	low, high := 0, len(c.points)-1
	for low < high {
		middle := (low + high) / 2
		switch at := c.points[middle].at; {
		case at == hash:
			return c.points[middle].slice
		case at > hash:
			high = middle
		default:
			low = middle + 1
		}
	}
	return c.points[high].slice
}

// shares is how many of all hashes, 2^32, each of n slices gets.
func (c *continuum) shares(n int) []int64 {
	shares := make([]int64, n)
	from := int64(0)
	for i, p := range c.points {
		to := int64(p.at)
		if i == len(c.points)-1 {
			to = 1 << 32
		}
		// Of tied points the first has the records below it.
		if to > from {
			shares[p.slice] += to - from
			from = to
		}
	}
	return shares
}

// Record is what a record is placed by: its columns' values, or only those that are
// a dimension; "_key" is the key. Values are as encoding/json decodes them: string,
// json.Number or float64, nil; Go's integers do as well.
type Record map[string]any

// Key is a Record that has a key only.
func Key(key any) Record { return Record{"_key": key} }

// ErrNoDimension is a record that lacks the value that it is placed by.
var ErrNoDimension = errors.New("the record has no value to place it by")

// hash is the record's place on the continuum: CRC-32 of the value as a string.
func (r Record) hash(dimension string) (uint32, error) {
	v, ok := r[dimension]
	if !ok {
		return 0, fmt.Errorf("%w: %s", ErrNoDimension, dimension)
	}
	text, err := placed(v)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", dimension, err)
	}
	return crc32.ChecksumIEEE([]byte(text)), nil
}

// wholeNumber is an integer as JSON writes it, of any length.
var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// placed is a value as the string that is hashed. An integer is the same as its
// decimal digits in a string, and null (what the original allows) as "".
func placed(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return "", nil
	case json.Number:
		if wholeNumber.MatchString(v.String()) {
			return strings.Replace(v.String(), "-0", "0", 1), nil
		}
	case float64:
		// How encoding/json decodes integers if not told otherwise; exact up to 2^53.
		if i := int64(v); v > -1<<53 && v < 1<<53 && float64(i) == v {
			return strconv.FormatInt(i, 10), nil
		}
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), nil
	}
	return "", errors.New("a record is placed by a string or an integer")
}
