package wire

var tagFilterFields = []string{"Tag", "Expr"}

// Filter is one filter of a query: it restricts who answers.
type Filter struct {
	Type  FilterType
	Nodes []string // FilterNode: the names that are asked
	Tag   string   // FilterTag: the tag whose value, "" if there is none,
	Expr  string   // has to match this regular expression
}

// AppendNodeFilter appends a filter for members by name.
func AppendNodeFilter(dst []byte, names []string) []byte {
	return appendStrList(append(dst, byte(FilterNode)), names)
}

// AppendTagFilter appends a filter for members by the value of a tag.
func AppendTagFilter(dst []byte, tag, expr string) []byte {
	dst = append(dst, byte(FilterTag), 0x82)
	dst = appendStr(appendStr(dst, "Expr"), expr)
	return appendStr(appendStr(dst, "Tag"), tag)
}

// DecodeFilter reads a filter. One that cannot be read, or of an unknown type, is
// an error; no member passes it, as with the peers.
func DecodeFilter(b []byte) (Filter, error) {
	if len(b) == 0 {
		return Filter{}, ErrTruncated
	}
	f := Filter{Type: FilterType(b[0])}
	r := reader{b: b, pos: 1}
	switch f.Type {
	case FilterNode:
		f.Nodes = r.strList(nil, MaxFilterNodes)
	case FilterTag:
		for s := r.open(tagFilterFields); s.next(); {
			switch s.name {
			case "Tag":
				f.Tag = r.str()
			case "Expr":
				f.Expr = r.str()
			}
		}
	default:
		return Filter{}, ErrType
	}
	if r.err != nil {
		return Filter{}, r.err
	}
	return f, nil
}
