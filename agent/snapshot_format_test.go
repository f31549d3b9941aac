package agent

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
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), DefaultPort)
}

func read(t testing.TB, text string, rejoin bool) *snapshotReader {
	t.Helper()
	r, err := readSnapshot(strings.NewReader(text), rejoin)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// show is a memory on one line.
func show(m *memory) string {
	var b strings.Builder
	for _, p := range m.peers {
		mark := "+"
		if p.lost {
			mark = "-"
		}
		fmt.Fprintf(&b, "%s%q@%v ", mark, p.name, p.addr)
	}
	fmt.Fprintf(&b, "c%d e%d q%d i%d", m.clock, m.event, m.query, m.incarnation)
	for _, s := range m.seeds {
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
			"alive:  10.0.0.1:7946 \nclock: x\nclock: -1\nevent-clock: 99999999999999999999\nquery-clock: 4611686018427387905\nhello: x\nleaver\n" +
			"#ibuki incarnation: 4294967296\n#ibuki failed: a 10.0.0.1:1\n#ibuki failed: \"a\"\n#ibuki seeds: a\n#ibuki\n#ibuki x\n",
			want: "c0 e0 q0 i0", bad: 19},
		{name: "long names and lines", text: "alive: " + strings.Repeat("x", 256) + " 10.0.0.1:7946\nalive: " + strings.Repeat("y", 1<<20) + "\nclock: 2\n",
			want: "c2 e0 q0 i0", bad: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, c.text, c.rejoin)
			if got := show(&r.memory); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if r.bad != c.bad {
				t.Errorf("%d bad lines, want %d", r.bad, c.bad)
			}
			if end := strings.LastIndexByte(c.text, '\n') + 1; r.whole != int64(end) || r.partial != (end < len(c.text)) {
				t.Errorf("whole %d, partial %v; want %d", r.whole, r.partial, end)
			}
		})
	}
}

// drawMemory is a state that the agent may have.
func drawMemory(t *rapid.T, last *memory) memory {
	names := []string{"a", "b", "c d", "e/f:1", "g\nleave", "h\r", "alive: x", "\xff", "#i", " j "}
	var m memory
	for _, name := range names {
		switch rapid.IntRange(0, 3).Draw(t, name) {
		case 1:
			m.peers = append(m.peers, peer{name: name, addr: addr4(byte(rapid.IntRange(1, 3).Draw(t, "addr")))})
		case 2:
			m.peers = append(m.peers, peer{name: name, addr: addr4(1), lost: true})
		}
	}
	slices.SortFunc(m.peers, func(a, b peer) int { return strings.Compare(a.name, b.name) })
	step := func(old wire.LTime) wire.LTime { return old + wire.LTime(rapid.IntRange(0, 2).Draw(t, "step")) }
	m.clock, m.event, m.query = step(last.clock), step(last.event), step(last.query)
	m.incarnation = last.incarnation + uint32(rapid.IntRange(0, 20).Draw(t, "incarnation"))
	m.seeds = rapid.SampledFrom([][]string{nil, {"s1"}, {"s1", "x\"y z:1"}}).Draw(t, "seeds")
	return m
}

// TestSnapshotReadsWhatWasWritten: after any changes, in whatever mixture of
// lines behind a compact file, the file reads as the last state.
func TestSnapshotReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := drawMemory(t, &memory{})
		file := mem.appendTo(nil, peer{name: "self", addr: addr4(99)})
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			next := drawMemory(t, &mem)
			file = mem.become(&next, file)
			r, err := readSnapshot(bytes.NewReader(file), false)
			if err != nil || r.bad != 0 {
				t.Fatalf("%v, %d bad lines in\n%s", err, r.bad, file)
			}
			if i, ok := findPeer(r.peers, "self"); ok {
				r.peers = slices.Delete(r.peers, i, i+1)
			} else {
				t.Fatalf("self is not in\n%s", file)
			}
			if got, want := show(&r.memory), show(&mem); got != want {
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
	var mem memory
	file := mem.appendTo(nil, peer{name: "self", addr: addr4(99)})
	type point struct {
		size int
		mem  memory
	}
	points := []point{{len(file), mem}}
	for range 15 {
		next := memory{clock: mem.clock + 1, event: mem.event + wire.LTime(rng.IntN(2)), query: mem.query, incarnation: mem.incarnation + uint32(rng.IntN(2))}
		for i := range 12 {
			if n := rng.IntN(3); n > 0 {
				next.peers = append(next.peers, peer{name: fmt.Sprintf("node-%02d/x:%d", i, i), addr: addr4(byte(i + 1)), lost: n > 1})
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
		if r.bad != 0 {
			t.Fatalf("cut at %d: %d bad lines", cut, r.bad)
		}
		confirmed := points[at].mem
		after := confirmed // what may have been noted in between
		if at+1 < len(points) {
			after = points[at+1].mem
		}
		if r.clock < confirmed.clock || r.event < confirmed.event || r.incarnation < confirmed.incarnation {
			t.Fatalf("cut at %d: %s after %s", cut, show(&r.memory), show(&confirmed))
		}
		for _, p := range confirmed.peers {
			_, stays := findPeer(after.peers, p.name)
			if _, ok := findPeer(r.peers, p.name); stays && !ok {
				t.Fatalf("cut at %d: %q is lost from\n%s", cut, p.name, file[:cut])
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
		r, err := readSnapshot(bytes.NewReader(text), rejoin)
		if err != nil {
			t.Fatal(err)
		}
		// What was read can be written, and then reads the same.
		again, err := readSnapshot(bytes.NewReader(r.appendTo(nil, peer{})), rejoin)
		if err != nil || again.bad != 0 || show(&again.memory) != show(&r.memory) {
			t.Fatalf("%v, %d bad: read %s, then %s", err, again.bad, show(&r.memory), show(&again.memory))
		}
	})
}
