package catalog

// This file has the order in which Ruby up to 2.2 leaves equal elements, because the
// original's placement hangs on it (see Ties). Ruby's sort was qs6 by Tomoyuki
// Kawamura (1995): a quicksort whose steps, not only whose result, have to be the
// same here. Each step is told by what it compares and swaps; the terms left, right
// and pivot are those of any quicksort.

// rubySort sorts points by at.
type rubySort struct {
	points []point
	// The first region that looks sorted, or reversed, is checked for being so.
	unchecked bool
	waiting   []region
}

// region is a part of the points, both ends included.
type region struct{ first, last int }

// rubyCheckMin is from how many points on a region is checked for being sorted.
const rubyCheckMin = 63

// sortAsRuby22 sorts as Array#sort did, comparing at only.
func sortAsRuby22(points []point) {
	if len(points) < 2 {
		return
	}
	s := &rubySort{points: points, unchecked: len(points) >= rubyCheckMin}
	s.waiting = []region{{0, len(points) - 1}}
	for len(s.waiting) > 0 {
		last := len(s.waiting) - 1
		r := s.waiting[last]
		s.waiting = s.waiting[:last]
		s.sort(r)
	}
}

// compare is below 0 if point i is the lower one.
func (s *rubySort) compare(i, k int) int {
	a, b := s.points[i].at, s.points[k].at
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (s *rubySort) swap(i, k int) { s.points[i], s.points[k] = s.points[k], s.points[i] }

// rotate moves the point at b to a, that at c to b and that at a to c.
func (s *rubySort) rotate(a, b, c int) {
	p := s.points
	p[a], p[b], p[c] = p[b], p[c], p[a]
}

// median is the middle one of three.
func (s *rubySort) median(a, b, c int) int {
	if s.compare(a, b) < 0 {
		switch {
		case s.compare(b, c) < 0:
			return b
		case s.compare(a, c) < 0:
			return c
		}
		return a
	}
	switch {
	case s.compare(b, c) > 0:
		return b
	case s.compare(a, c) < 0:
		return a
	}
	return c
}

// pivot chooses the point that a region is split by: the middle, or the median of
// three, or of nine.
func (s *rubySort) pivot(r region) int {
	n := r.last - r.first + 1
	middle := r.first + n/2
	switch {
	case n >= 200:
		step := n / 8
		low := s.median(r.first+step, r.first+2*step, r.first+3*step)
		high := s.median(middle+step, middle+2*step, middle+3*step)
		return s.median(low, middle, high)
	case n >= 60:
		return s.median(r.first+n/4, middle, middle+n/4)
	}
	return middle
}

// split is how a region is divided: at which side the points equal to the pivot go.
type split int

const (
	nothing    split = iota // the region is sorted
	equalLeft               // left <= pivot < right
	equalRight              // left < pivot <= right
)

// sort sorts r, one part now and one later as long as it has to be split.
func (s *rubySort) sort(r region) {
	for {
		if r.first+1 == r.last {
			if s.compare(r.first, r.last) > 0 {
				s.swap(r.first, r.last)
			}
			return
		}
		pivot := s.pivot(r)
		var left, right region
		var leftDone, rightDone bool
		switch s.prepare(r, pivot) {
		case nothing:
			return
		case equalLeft:
			left, right, leftDone, rightDone = s.divideLeft(r, pivot)
		case equalRight:
			left, right, leftDone, rightDone = s.divideRight(r, pivot)
		}
		switch {
		case leftDone && rightDone:
			return
		case rightDone:
			r = left
		case leftDone:
			r = right
		case left.last-r.first < r.last-right.first:
			s.waiting = append(s.waiting, right)
			r = left
		default:
			s.waiting = append(s.waiting, left)
			r = right
		}
	}
}

// prepare puts the first point, the pivot and the last point in order, as far as
// the split needs it.
func (s *rubySort) prepare(r region, pivot int) split {
	before, after := s.compare(r.first, pivot), s.compare(pivot, r.last)
	switch {
	case before < 0 && after < 0:
		if s.ordered(r, 1) {
			return nothing
		}
		return equalLeft
	case before < 0 && after > 0:
		if s.compare(r.first, r.last) <= 0 {
			s.swap(pivot, r.last)
		} else {
			s.rotate(r.last, pivot, r.first)
		}
		return equalLeft
	case before < 0:
		return equalRight
	case before > 0 && after > 0:
		if s.ordered(r, -1) {
			for i, k := r.first, r.last; i < k; i, k = i+1, k-1 {
				s.swap(i, k)
			}
			return nothing
		}
		s.swap(r.first, r.last)
		return equalLeft
	case before > 0 && after < 0:
		if s.compare(r.first, r.last) <= 0 {
			s.swap(r.first, pivot)
			return equalRight
		}
		s.rotate(r.first, pivot, r.last)
		return equalLeft
	case before > 0:
		s.swap(r.first, r.last)
		return equalLeft
	case after < 0:
		return equalLeft
	case after > 0:
		s.swap(r.first, r.last)
		return equalRight
	}
	return s.prepareEqual(r, pivot)
}

// prepareEqual is prepare where all three are equal: the first that differs decides.
func (s *rubySort) prepareEqual(r region, pivot int) split {
	for i := r.first + 1; i < r.last; i++ {
		if i == pivot {
			continue
		}
		switch c := s.compare(i, pivot); {
		case c > 0:
			s.swap(i, r.last)
			return equalLeft
		case c < 0:
			s.swap(r.first, i)
			return equalRight
		}
	}
	return nothing
}

// ordered reports whether r is sorted upwards (sign 1) or downwards (-1). It looks
// only once in a whole sort.
func (s *rubySort) ordered(r region, sign int) bool {
	if !s.unchecked {
		return false
	}
	s.unchecked = false
	for i := r.first; i < r.last; i++ {
		if s.compare(i, i+1)*sign > 0 {
			return false
		}
	}
	return true
}

// divideLeft splits r so that left <= pivot < right. A side is done if all in it
// are equal.
func (s *rubySort) divideLeft(r region, pivot int) (left, right region, leftDone, rightDone bool) {
	leftDone, rightDone = true, true
	l, h := r.first, r.last
	for {
		for {
			l++
			if l == h {
				return s.closeLeft(r, pivot, l, h, leftDone, rightDone)
			}
			if l == pivot {
				continue
			}
			c := s.compare(l, pivot)
			if c > 0 {
				rightDone = false
				break
			}
			if c < 0 {
				leftDone = false
			}
		}
		for {
			h--
			if l == h {
				return s.closeLeft(r, pivot, l, h, leftDone, rightDone)
			}
			if h == pivot {
				pivot = l
				break
			}
			c := s.compare(h, pivot)
			if c < 0 {
				leftDone = false
			}
			if c <= 0 {
				break
			}
		}
		s.swap(l, h)
	}
}

// closeLeft puts the pivot between the two sides.
func (s *rubySort) closeLeft(r region, pivot, l, h int, leftDone, rightDone bool) (region, region, bool, bool) {
	l--
	if l != pivot {
		s.swap(pivot, l)
	}
	return region{r.first, l - 1}, region{h, r.last}, leftDone, rightDone
}

// divideRight splits r so that left < pivot <= right.
func (s *rubySort) divideRight(r region, pivot int) (left, right region, leftDone, rightDone bool) {
	leftDone, rightDone = true, true
	l, h := r.first, r.last
	for {
		for {
			h--
			if l == h {
				return s.closeRight(r, pivot, l, h, leftDone, rightDone)
			}
			if h == pivot {
				continue
			}
			c := s.compare(h, pivot)
			if c < 0 {
				leftDone = false
				break
			}
			if c > 0 {
				rightDone = false
			}
		}
		for {
			l++
			if l == h {
				return s.closeRight(r, pivot, l, h, leftDone, rightDone)
			}
			if l == pivot {
				pivot = h
				break
			}
			c := s.compare(l, pivot)
			if c > 0 {
				rightDone = false
			}
			if c >= 0 {
				break
			}
		}
		s.swap(l, h)
	}
}

// closeRight puts the pivot between the two sides.
func (s *rubySort) closeRight(r region, pivot, l, h int, leftDone, rightDone bool) (region, region, bool, bool) {
	h++
	if h != pivot {
		s.swap(h, pivot)
	}
	return region{r.first, l}, region{h + 1, r.last}, leftDone, rightDone
}
