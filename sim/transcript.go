package sim

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
	"github.com/ibuki-dev/ibuki/wire"
)

// show is a set of what a transcript has lines about.
type show uint16

const (
	showProbes  show = 1 << iota // ping, indirect ping, ack, nack
	showGossip                   // alive, suspect, dead
	showSerf                     // Serf's messages: intents, events, queries, answers
	showStreams                  // push/pull, stream pings, user messages on streams
	showEvents                   // what the handlers of a node are told
	showNews                     // what the asker of a query is told
	showLife                     // starts, crashes, pauses, joins
	showTrace                    // the machine's trace records

	showDefault = showProbes | showGossip | showSerf | showStreams | showEvents | showNews | showLife
)

// shows are the words of the script command trace.
var shows = []struct {
	word string
	bits show
}{
	{"probes", showProbes}, {"gossip", showGossip}, {"serf", showSerf}, {"streams", showStreams},
	{"events", showEvents}, {"news", showNews}, {"life", showLife}, {"records", showTrace},
	{"default", showDefault}, {"all", showDefault | showTrace}, {"off", 0},
}

// transcript writes what happens, one line each:
//
//	1.500s b->a ack seq=7          a datagram, when it is read
//	1.500s a=>b push/pull …        a stream's message, when it is read
//	1.500s b: member-failed c      what b's handlers are told
//	1.500s b crashes               what happens to b
type transcript struct {
	w     io.Writer
	show  show
	line  []byte
	parts []string
	un    wire.Unpacker
}

func (t *transcript) on(s show) bool { return t.w != nil && t.show&s != 0 }

// stamp is a virtual time as the transcript has it.
func stamp(d time.Duration) string {
	return fmt.Sprintf("%d.%03ds", d/time.Second, d%time.Second/time.Millisecond)
}

func (t *transcript) write(c *Cluster, parts ...string) {
	t.line = append(t.line[:0], stamp(c.clock.now)...)
	for _, p := range parts {
		t.line = append(t.line, ' ')
		t.line = append(t.line, p...)
	}
	t.line = append(t.line, '\n')
	t.w.Write(t.line)
}

func (t *transcript) note(c *Cluster, s string) {
	if t.w != nil {
		t.write(c, s)
	}
}

func (t *transcript) life(c *Cluster, n *Node, what string) {
	if t.on(showLife) {
		t.write(c, n.label, what)
	}
}

func (t *transcript) event(c *Cluster, n *Node, ev *serf.Event) {
	if t.on(showEvents) {
		t.write(c, n.label+":", describeEvent(c, ev))
	}
}

func (t *transcript) news(c *Cluster, n *Node, u *serf.QueryUpdate) {
	if !t.on(showNews) {
		return
	}
	switch u.Kind {
	case serf.QueryAck:
		t.write(c, n.label+":", "query", queryID(u.ID), "acked by", u.From)
	case serf.QueryResponse:
		t.write(c, n.label+":", "query", queryID(u.ID), "answered by", u.From, quote(u.Payload))
	case serf.QueryDone:
		t.write(c, n.label+":", "query", queryID(u.ID), "done")
	}
}

func (t *transcript) trace(c *Cluster, n *Node, r *swim.Trace) {
	if !t.on(showTrace) {
		return
	}
	t.write(c, n.label+":", "record", serf.Render(*r))
}

// packet is a datagram that n reads.
func (t *transcript) packet(c *Cluster, from netip.AddrPort, n *Node, msg []byte, err error) {
	if t.w == nil {
		return
	}
	arrow := c.who(from) + "->" + n.label
	if err != nil {
		if t.on(showProbes | showGossip | showSerf) {
			t.write(c, arrow, "unreadable:", err.Error())
		}
		return
	}
	if s := t.describePacket(c, msg); s != "" {
		t.write(c, arrow, s)
	}
}

// lost is a datagram that never arrives.
func (t *transcript) lost(c *Cluster, n *Node, to string, msg []byte, why string) {
	if t.w == nil {
		return
	}
	if s := t.describePacket(c, msg); s != "" {
		t.write(c, n.label+"->"+to, s, "("+why+")")
	}
}

// stream is the message on a stream that n reads; or what the stream ended with.
func (t *transcript) stream(c *Cluster, from, n *Node, msg []byte, err error) {
	if !t.on(showStreams) {
		return
	}
	arrow := "?=>" + n.label
	if from != nil {
		arrow = from.label + "=>" + n.label
	}
	if err != nil {
		t.write(c, arrow, "stream:", err.Error())
		return
	}
	if len(msg) > 0 && wire.Type(msg[0]) == wire.TypeUser {
		body, err := wire.ReadUserStream(msg[1:])
		if err != nil {
			t.write(c, arrow, "undecodable:", err.Error())
			return
		}
		t.write(c, arrow, describeUser(c, body))
		return
	}
	_, s := t.describe(c, msg)
	t.write(c, arrow, s)
}

// describePacket has the parts of a datagram that are to be shown, "" for none.
func (t *transcript) describePacket(c *Cluster, msg []byte) string {
	t.parts = t.parts[:0]
	err := t.un.Unpack(msg, func(m []byte) {
		if kind, s := t.describe(c, m); t.show&kind != 0 {
			t.parts = append(t.parts, s)
		}
	})
	if err != nil && t.on(showProbes|showGossip|showSerf) {
		t.parts = append(t.parts, "unreadable: "+err.Error())
	}
	return strings.Join(t.parts, " + ")
}

// who is the label of the node at an address.
func (c *Cluster) who(a netip.AddrPort) string {
	if n := c.host(a); n != nil {
		return n.label
	}
	return a.String()
}

// at is " at x" if the node at an address is not labelled as it is named.
func (c *Cluster) at(name string, a netip.AddrPort) string {
	if w := c.who(a); w != name {
		return " at " + w
	}
	return ""
}

func quote(b []byte) string {
	if len(b) > 40 {
		return strconv.Quote(string(b[:40])) + "…"
	}
	return strconv.Quote(string(b))
}

// queryID is a query's name in transcripts: its time. (The random half would
// only distract; two askers may get the same time, which the arrow tells apart.)
func queryID(id serf.QueryID) string { return "@" + strconv.FormatUint(uint64(id.LTime), 10) }

// describeEvent is an event as scripts show it.
func describeEvent(c *Cluster, ev *serf.Event) string {
	var b strings.Builder
	b.WriteString(ev.Type.String())
	switch ev.Type {
	case serf.EventUser:
		fmt.Fprintf(&b, " %s %s ltime=%d", ev.Name, quote(ev.Payload), ev.LTime)
	case serf.EventQuery:
		fmt.Fprintf(&b, " %s %s ltime=%d from %s", ev.Name, quote(ev.Payload), ev.LTime, ev.Source)
	default:
		for _, m := range ev.Members {
			b.WriteByte(' ')
			b.WriteString(m.Name + c.at(m.Name, m.Addr))
			if ev.Type == serf.EventMemberUpdate {
				b.WriteString(" " + describeTags(m.Tags))
			}
		}
	}
	return b.String()
}

func describeTags(tags []wire.Tag) string {
	s := make([]string, len(tags))
	for i, t := range tags {
		s[i] = t.Key + "=" + t.Value
	}
	return "[" + strings.Join(s, " ") + "]"
}
