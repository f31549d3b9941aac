package live

import "unicode/utf8"

// Renderer renders one View after the other. In the formats that Parse reads it
// encodes only the nodes that are not those of the View before, by their identity: Views
// share what did not change. It is for one goroutine.
type Renderer struct {
	Rendering

	text    []byte
	members []member // in the order of their names
}

// member is a node in a text, without what separates it from others.
type member struct {
	entry      *Entry
	start, end int
}

// Render is that of Rendering. The text is kept, and is not to be changed.
func (r *Renderer) Render(v *View) ([]byte, error) {
	format := r.format()
	if format != FormatLiveNodes && format != FormatAllNodes || r.Validate() != nil {
		return r.Rendering.Render(v)
	}
	was, old := r.members, r.text
	r.members = make([]member, 0, v.Len())
	b := make([]byte, 0, len(old)+len(old)/8+1024)
	b = append(b, '{')
	for e := range v.All() {
		if !isRendered(e, format == FormatAllNodes) {
			continue
		}
		if len(r.members) > 0 {
			b = append(b, ',')
		}
		for len(was) > 0 && was[0].entry != e && was[0].entry.Name < e.Name {
			was = was[1:]
		}
		m := member{entry: e, start: len(b)}
		if len(was) > 0 && was[0].entry == e {
			b = append(b, old[was[0].start:was[0].end]...)
		} else {
			b = appendMember(b, e)
		}
		m.end = len(b)
		r.members = append(r.members, m)
	}
	r.text = append(b, "\n}\n"...)
	if len(r.text) > MaxFile {
		return r.text, ErrTooLarge
	}
	return r.text, nil
}

// isRendered reports whether a node is in a list of all, or of those that are alive. A
// name that is no text cannot be a JSON key.
func isRendered(e *Entry, all bool) bool {
	return (all || e.Status == Alive) && utf8.ValidString(e.Name)
}
