package swim

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/ibuki-dev/ibuki/wire"
)

// Face is what a member shows of itself. It never changes: a member that shows
// something else has another Face. So the layer keeps the pointer that Member has
// instead of a copy, and of two faces of a member both the old and the new are there.
type Face struct {
	name     string
	meta     []byte // shared by the members that have the same
	addr     endpoint
	versions wire.Versions
}

// Name is the member's name.
func (f *Face) Name() string { return f.name }

// Meta is its metadata, not to be changed.
func (f *Face) Meta() []byte { return f.meta }

// Addr is where its gossip port is.
func (f *Face) Addr() netip.AddrPort { return f.addr.unpack() }

// Versions are the protocol versions that it speaks.
func (f *Face) Versions() wire.Versions { return f.versions }

// show gives e, which is the machine's own, the face that an alive message tells of, and
// reports whether its metadata are new. One without versions leaves them as they are.
func (t *members) show(e *member, a *wire.Alive) (updated bool) {
	next := Face{e.name, e.meta, pack(a.Addr), a.Versions}
	if next.versions == (wire.Versions{}) {
		next.versions = e.versions
	}
	if updated = !bytes.Equal(e.meta, a.Meta); updated {
		next.meta = t.keep(a.Meta)
	}
	if updated || next.addr != e.addr || next.versions != e.versions {
		e.Face = &next
	}
	return updated
}

// endpoint is an address in 18 bytes, where netip.AddrPort takes 32. IPv4
// is kept as IPv6; there are no zones.
type endpoint struct {
	ip   [16]byte
	port uint16
}

func pack(a netip.AddrPort) endpoint { return endpoint{a.Addr().As16(), a.Port()} }

// hash is a number that two different addresses seldom have in common.
func (p *endpoint) hash() uint32 {
	const last = len(p.ip) - 4 // all of IPv4
	h := mix(binary.BigEndian.Uint32(p.ip[last:]) ^ uint32(p.port)<<16)
	return h ^ mix(binary.BigEndian.Uint32(p.ip[:])^mix(binary.BigEndian.Uint32(p.ip[4:])^mix(binary.BigEndian.Uint32(p.ip[8:]))))
}

func (p endpoint) unpack() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(p.ip).Unmap(), p.port)
}
