package wire

// fields walks over a struct: a map from field names, or, as the peers also
// accept, an array of the fields in the order of their declaration.
type fields struct {
	r     *reader
	names []string // in the order of declaration; those of one letter are never in an array
	left  int
	index int // of the next name: where the search begins
	array bool
	name  string // of the field whose value is to be read now
}

// open begins a struct with these fields. A nil is a struct of zero values.
func (r *reader) open(names []string) fields {
	f := fields{r: r, names: names}
	t := r.token()
	each := 1
	switch t.kind {
	case kindNil:
	case kindMap:
		f.left, each = t.n, 2
	case kindArray:
		f.left, f.array = t.n, true
	default:
		r.wrong()
	}
	if f.left*each > len(r.b)-r.pos {
		r.fail(ErrTruncated)
	}
	return f
}

// next goes to the next field that is known and not nil.
func (f *fields) next() bool {
	for f.left > 0 && f.r.err == nil {
		f.left--
		if f.array {
			f.name = ""
			if f.index < len(f.names) && len(f.names[f.index]) > 1 {
				f.name = f.names[f.index]
				f.index++
			}
		} else {
			f.find(f.r.bytes())
			if f.r.err != nil {
				return false
			}
		}
		if f.name == "" {
			f.r.skip()
			continue
		}
		if !f.r.tryNil() {
			return f.r.err == nil
		}
	}
	return false
}

// find looks for key among the names. Unknown keys are passed over; an empty one
// is refused, for the peers' library cannot take it either.
func (f *fields) find(key []byte) {
	if len(key) == 0 {
		f.r.wrong()
	}
	for i := range f.names {
		if string(key) == f.names[i] {
			f.name = f.names[i]
			return
		}
	}
	f.name = ""
}
