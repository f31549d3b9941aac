package swim

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"

	"github.com/ibuki-dev/ibuki/wire"
)

// This file compares what two natives know without telling it: the members fall
// into buckets, and only those buckets are exchanged whose sums differ. (P230)

const (
	// minBuckets and maxBuckets are powers of two; about bucketSize members fall
	// into one bucket between them.
	minBuckets, maxBuckets = 64, 1024
	bucketSize             = 16
	// wholeEvery is how many periodic exchanges there are for one that is whole, as
	// with a plain member: sums do not see all that is known of those who are gone.
	wholeEvery = 16
	// maxFailedTold is how many failed members a comparison names.
	maxFailedTold = 32
)

// The kinds of digests.
const (
	digestSums   = 1 // the sums of all buckets; answered by digestDiffer
	digestDiffer = 2 // which buckets differ, and all of them
	digestPart   = 3 // the other side's members of those; answered by digestDiffer with none
)

// digest is what a push/pull between natives says of the buckets.
type digest struct {
	kind    byte
	buckets int
	layer   uint64   // digestSums: the sum of what the layer has beside members
	sums    []uint32 // digestSums
	failed  []uint32 // digestSums: the places of some who have failed, for all that the asker knows
	differ  []byte   // else: a bit for each bucket
	layerly bool     // else: the layer's sums differ
}

func (d *digest) append(dst []byte) []byte {
	dst = append(dst, d.kind, byte(bits.TrailingZeros(uint(d.buckets))))
	if d.kind == digestSums {
		dst = binary.BigEndian.AppendUint64(dst, d.layer)
		for _, s := range d.sums {
			dst = binary.BigEndian.AppendUint32(dst, s)
		}
		for _, p := range d.failed {
			dst = binary.BigEndian.AppendUint32(dst, p)
		}
		return dst
	}
	layerly := byte(0)
	if d.layerly {
		layerly = 1
	}
	return append(append(dst, layerly), d.differ...)
}

// read decodes a digest; what cannot be one is an error of wire's.
func (d *digest) read(b []byte) error {
	if len(b) < 3 || b[1] > 10 || 1<<b[1] < minBuckets {
		return wire.ErrValue
	}
	*d = digest{kind: b[0], buckets: 1 << b[1]}
	numbers := (len(b) - 10) / 4
	switch {
	case d.kind == digestSums && len(b) == 10+4*numbers && numbers >= d.buckets && numbers <= d.buckets+maxFailedTold:
		d.layer = binary.BigEndian.Uint64(b[2:])
		all := make([]uint32, numbers)
		for i := range all {
			all[i] = binary.BigEndian.Uint32(b[10+4*i:])
		}
		d.sums, d.failed = all[:d.buckets], all[d.buckets:]
		return nil
	case (d.kind == digestDiffer || d.kind == digestPart) && len(b) == 3+d.buckets/8:
		d.layerly, d.differ = b[2] == 1, b[3:]
		return nil
	}
	return wire.ErrValue
}

// has reports whether members at that place are among those that differ.
func (d *digest) has(place uint32) bool {
	i := bucketOf(place, d.buckets)
	return d.differ[i/8]&(1<<(i%8)) != 0
}

// mark adds a bucket to those that differ.
func (d *digest) mark(bucket int) { d.differ[bucket/8] |= 1 << (bucket % 8) }

// nothing reports whether nothing differs.
func (d *digest) nothing() bool {
	for _, b := range d.differ {
		if b != 0 {
			return false
		}
	}
	return !d.layerly
}

func bucketOf(place uint32, buckets int) int {
	return int(place >> (32 - bits.TrailingZeros(uint(buckets))))
}

// bucketCount is how many buckets a comparison of n members has.
func bucketCount(n int) int {
	b := minBuckets
	for b < maxBuckets && b*bucketSize < n {
		b *= 2
	}
	return b
}

// sums are those of the present members: where and of which incarnation they are known,
// and what the layer knows of each.
func (m *Machine) sums(buckets int) []uint32 {
	out := make([]uint32, buckets)
	for i := range m.members.len() {
		e := m.members.at(i)
		if !e.present() {
			continue
		}
		stamp := m.layer.Stamp(e.name)
		h := mix(e.place ^ e.addr.hash() ^ mix(e.incarnation+0x9e3779b9) ^ mix(uint32(stamp)+0x85ebca77) ^ mix(uint32(stamp>>32)+0xc2b2ae3d))
		out[bucketOf(e.place, buckets)] += h
	}
	return out
}

// compareWith begins a comparison with a native.
func (m *Machine) compareWith(e *member) error {
	return m.compareAs(e, m.layer.Sum())
}

// compareAs is compareWith that says layer of what the layer has.
func (m *Machine) compareAs(e *member, layer uint64) error {
	d := digest{kind: digestSums, buckets: bucketCount(m.members.numPresent()), layer: layer}
	d.sums, d.failed = m.sums(d.buckets), m.failedPlaces()
	_, err := m.dial(dialCompare, e.at(), e.name, m.appendDigest(nil, &d), m.cfg.StreamTimeout)
	return err
}

// Consult exchanges with one member, at once, what the layer has, and what else
// they know differently; with a plain one everything. It does nothing if there is no
// such member alive.
func (m *Machine) Consult(now time.Time, name string) {
	m.begin(now)
	e := m.members.get(name)
	switch {
	case e == nil || e == m.local || e.state != wire.StateAlive:
	case e.native == 0 || !m.cfg.eager():
		m.pushPullWith(e)
	default:
		if err := m.compareAs(e, ^m.layer.Sum()); err != nil {
			m.trace(Trace{Kind: TracePushPullFailed, Level: LevelError, Node: e.name, Addr: e.at(), Err: err})
		}
	}
}

// Kind restricts what Random chooses from.
type Kind uint8

// The kinds: all members, those known to be native, and the others.
const (
	AnyMember Kind = iota
	AnyNative
	AnyPlain
)

// Random is the name of a random member of that kind that is alive, not this node; "" if there is none.
func (m *Machine) Random(kind Kind) string {
	with := m.members.pick(1, m.rng, func(e *member) bool {
		return e != m.local && e.state == wire.StateAlive && (kind == AnyMember || (e.native != 0) == (kind == AnyNative))
	})
	if len(with) == 0 {
		return ""
	}
	return with[0].name
}

// failedPlaces are the places of those who have failed, of many a part that differs
// from one comparison to the next.
func (m *Machine) failedPlaces() []uint32 {
	var all []uint32
	for name := range m.layer.Departed(false) {
		all = append(all, place(name))
	}
	if len(all) > maxFailedTold {
		m.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:maxFailedTold]
	}
	return all
}

// appendDigest appends a push/pull of the members that d names, and of the
// layer's state as far as it belongs to them; nothing of either if it names none.
func (m *Machine) appendDigest(dst []byte, d *digest) []byte {
	h := wire.PushPullHeader{Digest: d.append(nil)}
	if d.kind == digestSums || d.nothing() {
		return wire.AppendPushPullHeader(dst, h)
	}
	m.userState = m.layer.AppendPart(m.userState[:0], func(name string) bool { return d.has(place(name)) }, d.layerly)
	h.UserStateLen = len(m.userState)
	for i := range m.members.len() {
		if d.has(m.members.at(i).place) {
			h.Nodes++
		}
	}
	dst = wire.AppendPushPullHeader(dst, h)
	for i := range m.members.len() {
		if e := m.members.at(i); d.has(e.place) {
			dst = m.appendNode(dst, e)
		}
	}
	return append(dst, m.userState...)
}

// answerDigest answers a comparison: with what differs, or by taking what did.
func (m *Machine) answerDigest(in *checked, raw []byte) []byte {
	var d digest
	if err := d.read(raw); err != nil {
		m.dropAs(TraceBadStream, dropOf(err), m.from, err)
		return nil
	}
	reply := digest{kind: digestDiffer, buckets: d.buckets, differ: make([]byte, d.buckets/8)}
	if d.kind == digestSums {
		reply.layerly = d.layer != m.layer.Sum()
		for i, s := range m.sums(d.buckets) {
			if s != d.sums[i] {
				reply.mark(i)
			}
		}
		m.markLeft(&reply, d.failed)
	}
	out := m.appendDigest(nil, &reply)
	if d.kind == digestPart {
		m.merge(in, false)
	}
	return out
}

// markLeft lets those differ that the asker holds for failed and this node knows
// to have left.
func (m *Machine) markLeft(reply *digest, failed []uint32) {
	if len(failed) == 0 {
		return
	}
	for name := range m.layer.Departed(true) {
		if p := place(name); slices.Contains(failed, p) {
			reply.mark(bucketOf(p, reply.buckets))
		}
	}
}

// compared takes the answer to a comparison that this node began, and tells the
// other side its own part of what differs.
func (m *Machine) compared(o *openDial, reply []byte, err error) error {
	if err == nil {
		err = m.expect(reply, wire.TypePushPull)
	}
	if err != nil {
		return err
	}
	in, err := m.check(reply[1:])
	if err != nil {
		return err
	}
	pp, _ := wire.ReadPushPull(reply[1:], m)
	var d digest
	if err := d.read(pp.Header.Digest); err != nil {
		return err
	}
	if d.kind != digestDiffer || d.nothing() {
		return nil
	}
	part := digest{kind: digestPart, buckets: d.buckets, differ: d.differ, layerly: d.layerly}
	mine := m.appendDigest(nil, &part)
	m.merge(&in, true)
	_, err = m.dial(dialCompare, o.to, o.node, mine, m.cfg.StreamTimeout)
	return err
}
