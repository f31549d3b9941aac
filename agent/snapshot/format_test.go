package snapshot

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ibuki-dev/ibuki/wire"
)

func addr4(n byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 7946)
}

func read(t testing.TB, text string, rejoin bool) *Reader {
	t.Helper()
	r, err := readFrom(strings.NewReader(text), rejoin)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// show is a memory on one line.
func show(m *Memory) string {
	var b strings.Builder
	for _, p := range m.Peers {
		mark := "+"
		if p.Lost {
			mark = "-"
		}
		fmt.Fprintf(&b, "%s%q@%v ", mark, p.Name, p.Addr)
	}
	fmt.Fprintf(&b, "c%d e%d q%d i%d", m.Clock, m.Event, m.Query, m.Incarnation)
	for _, s := range m.Seeds {
		fmt.Fprintf(&b, " %q", s)
	}
	return b.String()
}

func TestSnapshotLines(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       string
		rejoin     bool
		bad        int
	}{
		{name: "empty", want: "c0 e0 q0 i0"},
		{name: "Serf's own", text: "alive: a 10.0.0.1:7946\nclock: 3\nevent-clock: 4\nquery-clock: 5\ncoordinate: {\"Vec\":[0]}\n# a comment\n",
			want: `+"a"@10.0.0.1:7946 c3 e4 q5 i0`},
		{name: "gone again", text: "alive: a 10.0.0.1:7946\nalive: b 10.0.0.2:1\nnot-alive: a\n", want: `+"b"@10.0.0.2:1 c0 e0 q0 i0`},
		{name: "address changed", text: "alive: a 10.0.0.1:7946\nalive: a 10.0.0.2:1\n", want: `+"a"@10.0.0.2:1 c0 e0 q0 i0`},
		{name: "slashes, colons, spaces", text: "alive: 192.168.0.1:10031/x y 10.0.0.1:7946\nalive: a: b [::1]:7946\nnot-alive: nobody\n",
			want: `+"192.168.0.1:10031/x y"@10.0.0.1:7946 +"a: b"@[::1]:7946 c0 e0 q0 i0`},
		{name: "mapped", text: "alive: a [::ffff:10.0.0.1]:7946\n", want: `+"a"@10.0.0.1:7946 c0 e0 q0 i0`},
		{name: "no end of line", text: "alive: a 10.0.0.1:7946\nalive: b 10.0.0.2:7946", want: `+"a"@10.0.0.1:7946 c0 e0 q0 i0`},
		{name: "torn number", text: "clock: 12\nclock: 1", want: "c12 e0 q0 i0"},
		{name: "clocks do not fall", text: "clock: 12\nclock: 3\n", want: "c12 e0 q0 i0"},
		{name: "leave", text: "alive: a 10.0.0.1:7946\nclock: 3\nevent-clock: 4\n#ibuki incarnation: 9\n#ibuki failed: \"x\" 10.0.0.9:1\n#ibuki seeds: \"s\"\nleave\n",
			want: "c0 e0 q0 i9"},
		{name: "leave, rejoin", text: "alive: a 10.0.0.1:7946\nclock: 3\nleave\n", rejoin: true, want: `+"a"@10.0.0.1:7946 c3 e0 q0 i0`},
		{name: "a life after the leave", text: "alive: a 10.0.0.1:7946\nleave\nalive: b 10.0.0.2:7946\nclock: 1\n", want: `+"b"@10.0.0.2:7946 c1 e0 q0 i0`},
		{name: "failed", text: "alive: a 10.0.0.1:7946\n#ibuki failed: \"a\" 10.0.0.1:7946\nnot-alive: a\n", want: `-"a"@10.0.0.1:7946 c0 e0 q0 i0`},
		{name: "failing, half noted", text: "alive: a 10.0.0.1:7946\n#ibuki failed: \"a\" 10.0.0.1:7946\n", want: `+"a"@10.0.0.1:7946 c0 e0 q0 i0`},
		{name: "back, by Serf's hand", text: "#ibuki failed: \"a\" 10.0.0.1:7946\nalive: a 10.0.0.3:7946\nnot-alive: a\n", want: "c0 e0 q0 i0"},
		{name: "gone", text: "#ibuki failed: \"a\" 10.0.0.1:7946\n#ibuki gone: \"a\"\n", want: "c0 e0 q0 i0"},
		{name: "name with an end of line", text: "#ibuki alive: \"a\\nleave\" 10.0.0.1:7946\n", want: `+"a\nleave"@10.0.0.1:7946 c0 e0 q0 i0`},
		{name: "seeds", text: "#ibuki seeds: \"a\" \"b c:1\"\n", want: `c0 e0 q0 i0 "a" "b c:1"`},
		{name: "no seeds any more", text: "#ibuki seeds: \"a\"\n#ibuki seeds: \n", want: `c0 e0 q0 i0`},
		{name: "lines of a later version", text: "#ibuki colour: blue\n", want: "c0 e0 q0 i0"},
		{name: "garbage", text: "\x00\xff\nalive: \nalive: a\nalive: a b\nalive: a 10.0.0.1\nalive: a 10.0.0.1:0\nalive: a 10.0.0.1:99999\n" +
			"alive:  10.0.0.1:7946 \nclock: x\nclock: -1\nevent-clock: 99999999999999999999\nquery-clock: 9223372036854775808\nhello: x\nleaver\n" +
			"#ibuki incarnation: 4294967296\n#ibuki failed: a 10.0.0.1:1\n#ibuki failed: \"a\"\n#ibuki seeds: a\n#ibuki\n#ibuki x\n",
			want: "c0 e0 q0 i0", bad: 19},
		{name: "long names and lines", text: "alive: " + strings.Repeat("x", 256) + " 10.0.0.1:7946\nalive: " + strings.Repeat("y", 1<<20) + "\nclock: 2\n",
			want: "c2 e0 q0 i0", bad: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, c.text, c.rejoin)
			if got := show(&r.Memory); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if r.Bad != c.bad {
				t.Errorf("%d bad lines, want %d", r.Bad, c.bad)
			}
			if end := strings.LastIndexByte(c.text, '\n') + 1; r.whole != int64(end) || r.partial != (end < len(c.text)) {
				t.Errorf("whole %d, partial %v; want %d", r.whole, r.partial, end)
			}
		})
	}
}

// drawMemory is a state that the agent may have.
func drawMemory(t *rapid.T, last *Memory) Memory {
	names := []string{"a", "b", "c d", "e/f:1", "g\nleave", "h\r", "alive: x", "\xff", "#i", " j "}
	var m Memory
	for _, name := range names {
		switch rapid.IntRange(0, 3).Draw(t, name) {
		case 1:
			m.Peers = append(m.Peers, Peer{Name: name, Addr: addr4(byte(rapid.IntRange(1, 3).Draw(t, "addr")))})
		case 2:
			m.Peers = append(m.Peers, Peer{Name: name, Addr: addr4(1), Lost: true})
		}
	}
	slices.SortFunc(m.Peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
	step := func(old wire.LTime) wire.LTime { return old + wire.LTime(rapid.IntRange(0, 2).Draw(t, "step")) }
	m.Clock, m.Event, m.Query = step(last.Clock), step(last.Event), step(last.Query)
	m.Incarnation = last.Incarnation + uint32(rapid.IntRange(0, 20).Draw(t, "incarnation"))
	m.Seeds = rapid.SampledFrom([][]string{nil, {"s1"}, {"s1", "x\"y z:1"}}).Draw(t, "seeds")
	return m
}

// TestSnapshotReadsWhatWasWritten: after any changes, in whatever mixture of
// lines behind a compact file, the file reads as the last state.
func TestSnapshotReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := drawMemory(t, &Memory{})
		file := mem.appendTo(nil, Peer{Name: "self", Addr: addr4(99)})
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			next := drawMemory(t, &mem)
			file = mem.become(&next, file)
			r, err := readFrom(bytes.NewReader(file), false)
			if err != nil || r.Bad != 0 {
				t.Fatalf("%v, %d bad lines in\n%s", err, r.Bad, file)
			}
			if i, ok := FindPeer(r.Peers, "self"); ok {
				r.Peers = slices.Delete(r.Peers, i, i+1)
			} else {
				t.Fatalf("self is not in\n%s", file)
			}
			if got, want := show(&r.Memory), show(&mem); got != want {
				t.Fatalf("read %s\nwant %s\nof\n%s", got, want, file)
			}
		}
	})
}

// TestSnapshotCutAnywhere: a file that was cut at any byte has every peer that
// was confirmed before and not given up in a whole line, and no time below one
// that a whole line has.
func TestSnapshotCutAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var mem Memory
	file := mem.appendTo(nil, Peer{Name: "self", Addr: addr4(99)})
	type point struct {
		size int
		mem  Memory
	}
	points := []point{{len(file), mem}}
	for range 15 {
		next := Memory{Clock: mem.Clock + 1, Event: mem.Event + wire.LTime(rng.IntN(2)), Query: mem.Query, Incarnation: mem.Incarnation + uint32(rng.IntN(2))}
		for i := range 12 {
			if n := rng.IntN(3); n > 0 {
				next.Peers = append(next.Peers, Peer{Name: fmt.Sprintf("node-%02d/x:%d", i, i), Addr: addr4(byte(i + 1)), Lost: n > 1})
			}
		}
		file = mem.become(&next, file)
		points = append(points, point{len(file), mem})
	}
	at := 0
	for cut := points[0].size; cut <= len(file); cut++ {
		for at+1 < len(points) && points[at+1].size <= cut {
			at++
		}
		r := read(t, string(file[:cut]), false)
		if r.Bad != 0 {
			t.Fatalf("cut at %d: %d bad lines", cut, r.Bad)
		}
		confirmed := points[at].mem
		after := confirmed // what may have been noted in between
		if at+1 < len(points) {
			after = points[at+1].mem
		}
		if r.Clock < confirmed.Clock || r.Event < confirmed.Event || r.Incarnation < confirmed.Incarnation {
			t.Fatalf("cut at %d: %s after %s", cut, show(&r.Memory), show(&confirmed))
		}
		for _, p := range confirmed.Peers {
			_, stays := FindPeer(after.Peers, p.Name)
			if _, ok := FindPeer(r.Peers, p.Name); stays && !ok {
				t.Fatalf("cut at %d: %q is lost from\n%s", cut, p.Name, file[:cut])
			}
		}
	}
	for cut := range points[0].size { // of the compact file: it always loads
		read(t, string(file[:cut]), cut%2 == 0)
	}
}

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte("alive: a 10.0.0.1:7946\nclock: 3\nleave\n#ibuki failed: \"a\\n\" [::1]:1\n#ibuki seeds: \"a\" \"b\"\n"), false)
	f.Fuzz(func(t *testing.T, text []byte, rejoin bool) {
		r, err := readFrom(bytes.NewReader(text), rejoin)
		if err != nil {
			t.Fatal(err)
		}
		// What was read can be written, and then reads the same.
		again, err := readFrom(bytes.NewReader(r.appendTo(nil, Peer{})), rejoin)
		if err != nil || again.Bad != 0 || show(&again.Memory) != show(&r.Memory) {
			t.Fatalf("%v, %d bad: read %s, then %s", err, again.Bad, show(&r.Memory), show(&again.Memory))
		}
	})
}
