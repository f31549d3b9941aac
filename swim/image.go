package swim

import "slices"

// image is all members as a push/pull tells them, kept for the next who asks: in a cluster of
// plain nodes each asks now and then, and most of the time nothing has changed.
//
// Rule: it is made when all members are told for the second time without a change between, and dropped at
// the next change: who is never asked twice keeps none, nor do machines that share their table,
// of which there are thousands in one process. Invariant: data is empty, or what would be
// encoded now.
type image struct {
	told bool // since the last change
	data []byte
}

// touch is called before, or in the same input after, anything that is told of a member changes.
func (t *members) touch() { t.image = image{} }

// appendNodes appends all members.
func (m *Machine) appendNodes(dst []byte) []byte {
	img := &m.members.image
	if len(img.data) > 0 {
		return append(dst, img.data...)
	}
	n := len(dst)
	for i := range m.members.len() {
		dst = m.appendNode(dst, m.members.at(i))
	}
	if img.told && m.members.base == nil {
		img.data = slices.Clone(dst[n:])
	}
	img.told = true
	return dst
}
