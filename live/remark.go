package live

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Remark is what the reader of a rendered list should know about a node, since the list does
// not show it.
type Remark struct {
	Node    string // its name, as it says
	Text    string // in one line, of printable ASCII
	LeftOut bool   // it is alive and not in the list
}

// Remarks are what is to be said of the live nodes of v beside their rendering, in the order
// of their names: which are left out and why, and whose tags become one label.
func (r *Rendering) Remarks(v *View) (all []Remark) {
	for e := range v.Alive() {
		if why := r.leftOut(e); why != "" {
			all = append(all, Remark{e.Name, "is left out: " + why, true})
			continue
		}
		if r.format() == FormatFileSD {
			if why := sameLabel(e); why != "" {
				all = append(all, Remark{e.Name, why, false})
			}
		}
	}
	return all
}

// leftOut is why a live node is not in the list, "" if it is.
func (r *Rendering) leftOut(e *Entry) string {
	switch r.format() {
	case FormatFileSD, FormatHAProxy, FormatNginx:
		switch value, ok := e.Tag(r.PortTag); {
		case !e.Addr.Addr().IsValid():
			return "its address is not known"
		case r.portOf(e) != 0:
			return ""
		case !ok:
			return "it has no tag " + quoted(r.PortTag)
		default:
			return fmt.Sprintf("its tag %s is %s, which is no port (1 to 65535)", quoted(r.PortTag), quoted(value))
		}
	case FormatTemplate:
		return ""
	}
	if !utf8.ValidString(e.Name) {
		return "its name is no UTF-8"
	}
	return ""
}

// sameLabel says which two tags of a node become one label, "" if none do.
func sameLabel(e *Entry) string {
	of := make(map[string]string, len(e.Tags))
	for _, tag := range e.Tags {
		label := labelName(tag.Key)
		if first, twice := of[label]; twice && first != tag.Key {
			return fmt.Sprintf("has the tags %s and %s, which are both the label tag_%s: the first counts", quoted(first), quoted(tag.Key), label)
		}
		of[label] = tag.Key
	}
	return ""
}

// quoteMost is how much of a tag is quoted, in bytes.
const quoteMost = 40

// quoted is a text from the network, safe in a line of a log or a configuration.
func quoted(s string) string {
	if len(s) > quoteMost {
		return strconv.QuoteToASCII(s[:quoteMost]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// commentsMost is how many nodes are named in comments of a list.
const commentsMost = 20

// appendRemarks appends a comment for each node that is left out, as far as they are few. It
// reports whether there were any.
func (r *Rendering) appendRemarks(b []byte, v *View) (out []byte, any bool) {
	n := 0
	for _, remark := range r.Remarks(v) {
		if n++; n <= commentsMost {
			b = fmt.Appendf(b, "    # %s %s\n", word(remark.Node), remark.Text)
		}
	}
	if n > commentsMost {
		b = fmt.Appendf(b, "    # and %d more are left out\n", n-commentsMost)
	}
	return b, n > 0
}
