package wire

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Describe renders a plain message, or a compound of several, as one line for
// transcripts and logs: its name and its fields, `ping seq=7 node=b`. What
// cannot be read is rendered too. Equal bytes give equal text.
func Describe(msg []byte) string {
	var d describer
	d.message(msg, 0)
	return d.String()
}

// describer writes fields, each with a blank before it.
type describer struct{ strings.Builder }

func (d *describer) num(name string, v uint64) {
	d.text(name, strconv.FormatUint(v, 10))
}

func (d *describer) text(name, v string) {
	d.WriteByte(' ')
	d.WriteString(quoted(name))
	d.WriteByte('=')
	d.WriteString(quoted(v))
}

// quoted puts v in quotes if it would not be one word of plain letters without.
func quoted(v string) string {
	if strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("[]=\"\\,", c) }) {
		return strconv.QuoteToASCII(v)
	}
	return v
}

// opt writes the field unless it is empty.
func (d *describer) opt(name, v string) {
	if v != "" {
		d.text(name, v)
	}
}

// blob writes short text as it is and all else by its length.
func (d *describer) blob(name string, b []byte) {
	switch {
	case len(b) == 0:
	case len(b) <= 32 && isText(b):
		d.text(name, string(b))
	default:
		d.text(name, strconv.Itoa(len(b))+"B")
	}
}

func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func (d *describer) flag(name string, v bool) {
	if v {
		d.WriteByte(' ')
		d.WriteString(name)
	}
}

func (d *describer) addr(name string, a netip.AddrPort) {
	switch {
	case a.Addr().Zone() != "":
		d.text(name, a.String())
	case a.IsValid(): // an IPv6 address keeps its brackets, unquoted
		d.WriteString(" " + name + "=" + a.String())
	case a.Port() != 0:
		d.text(name, fmt.Sprintf("?:%d", a.Port()))
	}
}

func (d *describer) versions(v Versions) {
	if v != (Versions{}) {
		d.text("vsn", fmt.Sprintf("%d.%d.%d/%d.%d.%d", v.PMin, v.PMax, v.PCur, v.DMin, v.DMax, v.DCur))
	}
}

// bad ends a message that could not be read.
func (d *describer) bad(err error) {
	if err != nil {
		d.WriteString(" !")
		d.WriteString(Reason(err))
	}
}

func (d *describer) message(msg []byte, depth int) {
	if len(msg) == 0 {
		d.WriteString("empty")
		return
	}
	body := msg[1:]
	switch t := Type(msg[0]); t {
	case TypePing:
		d.ping(body)
	case TypeIndirectPing:
		d.indirectPing(body)
	case TypeAck:
		d.ack(body)
	case TypeNack:
		d.nack(body)
	case TypeErr:
		d.err(body)
	case TypeSuspect:
		d.suspicion("suspect", body)
	case TypeDead:
		d.suspicion("dead", body)
	case TypeAlive:
		d.alive(body)
	case TypePushPull:
		d.pushPull(body)
	case TypeUser:
		d.WriteString("user ")
		d.serf(body)
	case TypeCompound:
		d.compound(body, depth)
	case TypeCompress, TypeHasCRC, TypeEncrypt, TypeLabel:
		fmt.Fprintf(d, "%s %dB", frameNames[t], len(msg))
	default:
		fmt.Fprintf(d, "type=%d %dB", msg[0], len(msg))
	}
}

var frameNames = [256]string{TypeCompress: "compressed", TypeHasCRC: "crc", TypeEncrypt: "sealed", TypeLabel: "labelled"}

func (d *describer) compound(body []byte, depth int) {
	d.WriteString("compound[")
	if depth == MaxPacketNesting {
		d.WriteString("...]")
		return
	}
	var c compound
	err := c.start(body)
	for i := 0; err == nil && c.next(); i++ {
		d.WriteString(comma(i))
		d.message(c.part, depth+1)
	}
	d.bad(cmp.Or(err, c.err))
	d.WriteByte(']')
}

func (d *describer) ping(body []byte) {
	var m Ping
	err := m.Decode(body, nil)
	d.WriteString("ping")
	d.num("seq", uint64(m.Seq))
	d.text("node", m.Node)
	d.opt("from", m.SourceNode)
	d.addr("at", m.Source)
	d.flag("link", m.Link)
	d.native(m.Native)
	d.bad(err)
}

// native says nothing of a plain node.
func (d *describer) native(version uint8) {
	if version > 0 {
		d.num("native", uint64(version))
	}
}

func (d *describer) indirectPing(body []byte) {
	var m IndirectPing
	err := m.Decode(body, nil)
	d.WriteString("indirect-ping")
	d.num("seq", uint64(m.Seq))
	d.text("node", m.Node)
	d.addr("target", m.Target)
	d.flag("nack", m.Nack)
	d.opt("from", m.SourceNode)
	d.addr("at", m.Source)
	d.bad(err)
}

func (d *describer) ack(body []byte) {
	var m Ack
	err := m.Decode(body, nil)
	d.WriteString("ack")
	d.num("seq", uint64(m.Seq))
	d.blob("payload", m.Payload)
	if m.Wait > 0 {
		d.num("wait", uint64(m.Wait))
	}
	d.native(m.Native)
	d.bad(err)
}

func (d *describer) nack(body []byte) {
	var m Nack
	err := m.Decode(body, nil)
	d.WriteString("nack")
	d.num("seq", uint64(m.Seq))
	d.bad(err)
}

func (d *describer) err(body []byte) {
	var m Err
	err := m.Decode(body, nil)
	d.WriteString("err")
	d.text("text", m.Error)
	d.bad(err)
}

func (d *describer) suspicion(name string, body []byte) {
	m, err := decodeSuspicion(body, nil)
	d.WriteString(name)
	d.text("node", m.Node)
	d.num("inc", uint64(m.Incarnation))
	d.text("from", m.From)
	d.opt("verdict", m.Verdict.String())
	d.bad(err)
}

func (d *describer) alive(body []byte) {
	var m Alive
	err := m.Decode(body, nil)
	d.WriteString("alive")
	d.text("node", m.Node)
	d.num("inc", uint64(m.Incarnation))
	d.addr("at", m.Addr)
	d.meta(m.Meta)
	d.versions(m.Versions)
	d.native(m.Native)
	d.bad(err)
}

// meta renders tags as such and other metadata as a blob.
func (d *describer) meta(meta []byte) {
	if len(meta) == 0 {
		return
	}
	tags, err := DecodeTags(meta, nil)
	if err != nil || meta[0] != tagMagic {
		d.blob("meta", meta)
		return
	}
	d.tags(tags)
}

func (d *describer) tags(tags []Tag) {
	for i := range tags {
		d.text("tag:"+tags[i].Key, tags[i].Value)
	}
}

var stateNames = [...]string{"alive", "suspect", "dead", "left"}

func (s NodeState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

func (d *describer) pushPull(body []byte) {
	d.WriteString("push-pull")
	p, err := ReadPushPull(body, nil)
	d.flag("join", p.Header.Join)
	d.num("nodes", uint64(p.Header.Nodes))
	d.WriteString(" [")
	var n PushNodeState
	for i := 0; err == nil; i++ {
		var ok bool
		if ok, err = p.Next(&n); !ok {
			break
		}
		if i > 0 {
			d.WriteString(", ")
		}
		d.WriteString(n.State.String())
		d.text("node", n.Name)
		d.num("inc", uint64(n.Incarnation))
		d.addr("at", n.Addr)
		d.meta(n.Meta)
		d.versions(n.Versions)
		d.native(n.Native)
		d.opt("verdict", n.Verdict.String())
	}
	d.WriteByte(']')
	if err == nil {
		var state []byte
		if state, err = p.UserState(); len(state) > 0 {
			d.WriteByte(' ')
			d.serf(state)
		}
	}
	d.bad(err)
}
