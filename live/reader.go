package live

import (
	"bytes"
	"slices"
	"sort"
)

// Reader reads the versions of a list in a text, one after the other. Of a version it
// decodes only the nodes whose text is not as it was, so that of a list of 10,000 in
// which one has changed, one is decoded. The zero Reader is ready. It is for one
// goroutine.
type Reader struct {
	text  []byte // the last good version
	ends  []int  // where each node's value ends in it
	names []string
}

// Reading is how a version differs from the one before.
type Reading struct {
	// Whole: Entries are all nodes; else those that are new or whose text is.
	Whole   bool
	Entries []Entry
	Gone    []string // names whose text is not there any more; they may be among Entries again
	Nodes   int      // how many there are in all
}

// Same reports whether text is the last good version.
func (r *Reader) Same(text []byte) bool { return len(r.ends) > 0 && bytes.Equal(r.text, text) }

// Read reads the next version. The Reader keeps text, which is not to be changed then; it
// returns the one that it kept before, which is the caller's now. With an error, which
// is that of Parse, it kept nothing, and the next version is compared with the last
// good one.
func (r *Reader) Read(text []byte) (_ Reading, spare []byte, _ error) {
	if reading, ok := r.readChanged(text); ok {
		spare, r.text = r.text, text
		return reading, spare, nil
	}
	var ends []int
	entries, err := parse(text, func(end int) { ends = append(ends, end) })
	if err != nil {
		return Reading{}, nil, err
	}
	names := make([]string, len(entries))
	for i := range entries {
		names[i] = entries[i].Name
	}
	spare = r.text
	r.text, r.ends, r.names = text, ends, names
	return Reading{Whole: true, Entries: entries, Nodes: len(entries)}, spare, nil
}

// readChanged reads the part of text that is not as it was, if that can be told from
// the rest. What it does not dare to judge is left to Parse.
func (r *Reader) readChanged(text []byte) (Reading, bool) {
	if len(r.ends) == 0 || len(text) > MaxFile {
		return Reading{}, false
	}
	from, to, ok := r.changed(text)
	if !ok {
		return Reading{}, false
	}
	begin, end := 0, r.ends[to-1]+len(text)-len(r.text)
	if from > 0 {
		begin = r.ends[from-1]
	}
	if 4*(end-begin) > len(text) {
		return Reading{}, false
	}
	entries, ends, ok := members(text[begin:end], from == 0)
	if !ok {
		return Reading{}, false
	}
	nodes := len(r.names) - (to - from) + len(entries)
	if nodes == 0 || nodes > MaxNodes || r.twice(entries, from, to) {
		return Reading{}, false
	}
	reading := Reading{Entries: entries, Gone: slices.Clone(r.names[from:to]), Nodes: nodes}
	r.replace(from, to, entries, ends, begin, len(text)-len(r.text))
	return reading, true
}

// changed finds the nodes whose text is not in the other version as it was: those from
// from to before to, at least one. A node's text begins where the value of the one before
// ends, and ends with its value, which is an object: its last byte closes it, whatever follows.
// It is not ok if there is something else that is not as it was.
func (r *Reader) changed(text []byte) (from, to int, ok bool) {
	short := min(len(text), len(r.text))
	prefix := samePrefix(text[:short], r.text[:short])
	suffix := sameSuffix(text[len(text)-(short-prefix):], r.text[len(r.text)-(short-prefix):])
	from = min(sort.SearchInts(r.ends, prefix+1), len(r.ends)-1)
	// The value that ends where the common rest begins, or in it, is the last one of what
	// may have changed.
	to = max(sort.SearchInts(r.ends, len(r.text)-suffix), from) + 1
	return from, to, to <= len(r.ends)
}

const stride = 4096 // bytes that are compared at once

func samePrefix(a, b []byte) int {
	n := 0
	for n+stride <= len(a) && bytes.Equal(a[n:n+stride], b[n:n+stride]) {
		n += stride
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}

func sameSuffix(a, b []byte) int {
	n, all := 0, len(a)
	for n+stride <= all && bytes.Equal(a[all-n-stride:all-n], b[all-n-stride:all-n]) {
		n += stride
	}
	for n < all && a[all-n-1] == b[all-n-1] {
		n++
	}
	return n
}

// members reads some members of an object, and where the value of each ends in text:
// the first ones, with the brace that opens the object, or others, with the comma before.
func members(text []byte, first bool) (entries []Entry, ends []int, ok bool) {
	object := make([]byte, 0, len(text)+2)
	rest := bytes.TrimLeft(text, " \t\r\n")
	shift := 0 // from places in object to those in text
	switch {
	case first:
		object = append(object, text...)
	case len(rest) == 0:
		return nil, nil, len(text) == 0
	case rest[0] != ',':
		return nil, nil, false
	default:
		object = append(append(object, '{'), rest[1:]...)
		shift = len(text) - len(rest)
	}
	entries, err := parse(append(object, '}'), func(end int) { ends = append(ends, end+shift) })
	// A member has to end the text, or what follows is another's.
	return entries, ends, err == nil && ends[len(ends)-1] == len(text)
}

// twice reports whether a name of entries is also that of a node outside of from and to.
func (r *Reader) twice(entries []Entry, from, to int) bool {
	if len(entries) == to-from {
		same := true
		for i := range entries {
			same = same && entries[i].Name == r.names[from+i]
		}
		if same {
			return false
		}
	}
	names := make(map[string]bool, len(entries))
	for i := range entries {
		names[entries[i].Name] = true
	}
	for i, name := range r.names {
		if (i < from || i >= to) && names[name] {
			return true
		}
	}
	return false
}

// replace puts the nodes that were read in place of those from from to before to. ends are
// from begin on; what comes after has moved by so many bytes.
func (r *Reader) replace(from, to int, entries []Entry, ends []int, begin, moved int) {
	for i := to; i < len(r.ends) && moved != 0; i++ {
		r.ends[i] += moved
	}
	names := make([]string, len(entries))
	for i := range entries {
		names[i], ends[i] = entries[i].Name, ends[i]+begin
	}
	r.ends = slices.Replace(r.ends, from, to, ends...)
	r.names = slices.Replace(r.names, from, to, names...)
}
