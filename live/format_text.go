package live

import (
	"bytes"
	"fmt"
	"iter"
	"net/netip"
	"strconv"
)

// targets are the live nodes with the address of the service on them.
func (r *Rendering) targets(v *View) iter.Seq2[*Entry, netip.AddrPort] {
	return func(yield func(*Entry, netip.AddrPort) bool) {
		for e := range v.Alive() {
			port := r.portOf(e)
			if port == 0 || !e.Addr.Addr().IsValid() {
				continue
			}
			if !yield(e, netip.AddrPortFrom(e.Addr.Addr(), port)) {
				return
			}
		}
	}
}

func (r *Rendering) portOf(e *Entry) uint16 {
	if r.PortTag != "" {
		value, _ := e.Tag(r.PortTag)
		if n, err := strconv.ParseUint(value, 10, 16); err == nil && n != 0 {
			return uint16(n)
		}
	}
	return r.Port
}

const generated = "# Made by ibuki from the list of live nodes; changes are lost.\n"

// checkHint is for whoever reads the backend section.
const checkHint = "    # \"check\" only connects. With \"option httpchk GET /path\" in the defaults section it asks for a page.\n"

// appendHAProxy renders a backend section. Names are made words: they come from
// the network, and a line of a configuration is not theirs to end.
func appendHAProxy(v *View, r *Rendering) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sbackend %s\n", generated, r.name())
	b.WriteString(checkHint)
	remarks, _ := r.appendRemarks(nil, v)
	b.Write(remarks)
	used := make(map[string]bool)
	for e, target := range r.targets(v) {
		fmt.Fprintf(&b, "    server %s %s check\n", unused(used, e.Name), target)
	}
	return b.Bytes()
}

// appendNginx renders an upstream block. nginx refuses one without a server, so
// that where nobody is alive there is one that is down.
func appendNginx(v *View, r *Rendering) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%supstream %s {\n", generated, r.name())
	n := 0
	used := make(map[string]bool)
	for e, target := range r.targets(v) {
		fmt.Fprintf(&b, "    server %s; # %s\n", target, unused(used, e.Name))
		n++
	}
	remarks, any := r.appendRemarks(nil, v)
	b.Write(remarks)
	switch {
	case n == 0 && any:
		b.WriteString("    server 127.0.0.1:1 down; # no live node can be listed\n")
	case n == 0:
		b.WriteString("    server 127.0.0.1:1 down; # nobody is alive\n")
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// unused makes a word of name that is not in used yet, and puts it there.
func unused(used map[string]bool, name string) string {
	w := word(name)
	for n := 2; used[w]; n++ {
		w = word(name) + "_" + strconv.Itoa(n)
	}
	used[w] = true
	return w
}

// TagOr returns the value of a tag, or what it is when there is none.
func (e *Entry) TagOr(key, otherwise string) string {
	if value, ok := e.Tag(key); ok {
		return value
	}
	return otherwise
}

// limited is a buffer of at most MaxFile bytes.
type limited struct{ buf bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if l.buf.Len()+len(p) > MaxFile {
		return 0, ErrTooLarge
	}
	return l.buf.Write(p)
}
