package dashboard

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ibuki-dev/ibuki/live"
	"github.com/ibuki-dev/ibuki/rpc"
)

func user(n int) rpc.Event {
	return rpc.Event{Type: "user", Name: "e" + strconv.Itoa(n), LTime: uint64(n), Payload: []byte("x")}
}

func TestStreamTellsWhatHappens(t *testing.T) {
	s := serve(t, nil)
	eventually(t, "the first list is told", func() bool { return s.journal.end() == 5 })
	f := s.follow("")
	if g := f.next(); g.kind != "hello" || g.data["node"] != "n0" || g.data["list_version"] != 1.0 {
		t.Errorf("first %+v", g)
	}
	s.agent.list.Apply(t0.Add(time.Second), live.Change{Kind: live.Fail, Entries: []live.Entry{entry("n2", live.Alive)}})
	g := f.next()
	member, _ := g.data["member"].(map[string]any)
	if g.kind != "member" || g.data["was"] != "alive" || member["name"] != "n2" || member["status"] != "failed" || g.data["seq"] != 5.0 {
		t.Errorf("then %+v", g)
	}
	s.agent.publish(user(7))
	if g := f.next(); g.kind != "event" || g.data["name"] != "e7" || g.data["payload"] != "x" {
		t.Errorf("then %+v", g)
	}
	s.agent.publish(rpc.Event{Type: "member-failed"}) // the list has told it
	s.agent.publish(rpc.Event{Type: "query", Name: "q", Payload: []byte{0xff}})
	if g := f.next(); g.kind != "query" || g.data["payload_base64"] != "/w==" {
		t.Errorf("then %+v", g)
	}
	s.agent.list.Apply(t0, live.Change{Kind: live.Reap, Entries: []live.Entry{entry("n2", 0)}})
	if g := f.next(); g.kind != "member" || g.data["member"].(map[string]any)["status"] != "forgotten" {
		t.Errorf("then %+v", g)
	}
	s.agent.cut(3)
	if g := f.next(); g.kind != "gap" || g.data["reason"] != "lost" || g.data["missed"] != 3.0 {
		t.Errorf("then %+v", g)
	}
	eventually(t, "it listens again", func() bool { s.agent.mu.Lock(); defer s.agent.mu.Unlock(); return len(s.agent.subs) == 1 })
	s.agent.publish(user(8))
	if g := f.next(); g.data["name"] != "e8" {
		t.Errorf("then %+v", g)
	}
}

// TestStreamResumes: who comes back gets what was, or is told that it is not there.
func TestStreamResumes(t *testing.T) {
	s := serve(t, nil)
	eventually(t, "the first list is told", func() bool { return s.journal.end() == 5 })
	first := s.follow("")
	id := first.next().id
	first.conn.Close()
	for n := range 3 {
		s.agent.publish(user(n))
	}
	back := s.follow(id)
	if g := back.next(); g.kind != "hello" {
		t.Errorf("%+v", g)
	}
	for n := range 3 {
		if g := back.next(); g.data["name"] != fmt.Sprint("e", n) {
			t.Errorf("record %d: %+v", n, g)
		}
	}
	for n := range journalLen + 10 {
		if n%1000 == 0 {
			eventually(t, "they are read", func() bool { s.agent.mu.Lock(); defer s.agent.mu.Unlock(); return len(s.agent.subs[0]) == 0 })
		}
		s.agent.publish(user(100 + n))
	}
	eventually(t, "they are told", func() bool { return s.journal.end() == uint64(5+3+journalLen+10) })
	late := s.follow(id)
	late.next()
	if g := late.next(); g.kind != "gap" || g.data["reason"] != "too-old" || g.data["missed"] != 13.0 {
		t.Errorf("%+v", g)
	}
	if g := late.next(); g.data["name"] != "e110" {
		t.Errorf("%+v", g)
	}
	for _, id := range []string{"other-3", s.epoch + "-99999999", "x", s.epoch} {
		f := s.follow(id)
		f.next()
		if g := f.next(); g.kind != "gap" || g.data["reason"] != "restarted" || g.data["missed"] != nil {
			t.Errorf("%s: %+v", id, g)
		}
		f.conn.Close()
	}
}

// TestStreamFromBefore: who has seen nothing yet may ask for what was.
func TestStreamFromBefore(t *testing.T) {
	s := serve(t, nil)
	eventually(t, "the first list is told", func() bool { return s.journal.end() == 5 })
	for n := range 3 {
		s.agent.publish(user(n))
	}
	eventually(t, "the events are told", func() bool { return s.journal.end() == 8 })
	for path, want := range map[string][]float64{"?last=2": {5, 6, 7}, "?last=100": {0, 1, 2, 3, 4, 5, 6, 7}, "?last=0": {7}} {
		f := s.followPath("/v1/stream"+path, "")
		for i, seq := range want {
			if g := f.next(); g.data["seq"] != seq || (i == 0) != (g.kind == "hello") {
				t.Errorf("%s: record %d: %+v, want number %v", path, i, g, seq)
			}
		}
		f.conn.Close()
	}
	// What was seen counts more.
	f := s.followPath("/v1/stream?last=7", s.epoch+"-6")
	f.next()
	if g := f.next(); g.data["seq"] != 7.0 {
		t.Errorf("%+v", g)
	}
}

// TestStalledStreams: half of 200 clients do not read. The others get everything in time, and
// the memory stays bounded: records are there once, whoever reads them.
func TestStalledStreams(t *testing.T) {
	const clients, events = 200, 1000
	s := serve(t, func(c *Config) { c.Patience = 5 * time.Second })
	eventually(t, "the first list is told", func() bool { return s.journal.end() == 5 })
	var readers []*follower
	for i := range clients {
		if i%2 == 0 {
			readers = append(readers, s.follow(""))
			continue
		}
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		if _, err := io.WriteString(conn, "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are there", func() bool { return s.streams.Len() == clients })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	for _, f := range readers {
		wg.Go(func() {
			f.next() // hello
			for n := range events {
				if text := f.raw(); !strings.Contains(text, fmt.Sprintf(`"ltime":%d,`, n)) {
					t.Errorf("record %d: %.80s", n, text)
					return
				}
			}
		})
	}
	big := []byte(strings.Repeat("x", 1000))
	for n := range events {
		e := user(n)
		e.Payload = big
		s.agent.publish(e)
	}
	wg.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 40<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	eventually(t, "those that do not read are dropped", func() bool { return s.streams.Len() <= clients/2 })
}

func TestJournalCountsWhatIsMissed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := newJournal()
		total := rapid.IntRange(0, 3*journalLen).Draw(t, "total")
		for range total {
			j.add(t0, recordEvent, &eventRecord{Name: "x"})
		}
		seq := rapid.Uint64Range(1, uint64(total)+1).Draw(t, "seq")
		records, missed, _ := j.since(seq, journalLen)
		if uint64(len(records))+missed != uint64(total)+1-seq {
			t.Fatalf("%d records and %d missed from %d of %d", len(records), missed, seq, total)
		}
		for i, r := range records {
			if r.seq != seq+missed+uint64(i) {
				t.Fatalf("record %d has number %d", i, r.seq)
			}
		}
	})
	j := newJournal()
	for range 100 {
		j.add(t0, recordEvent, &eventRecord{Name: strings.Repeat("x", 1<<20)})
	}
	if j.bytes > journalBytes || len(j.ring) == 0 {
		t.Errorf("%d bytes of %d records are kept", j.bytes, len(j.ring))
	}
}

func TestHistoriesAreBounded(t *testing.T) {
	h := histories{nodes: make(map[string]*past)}
	for i := range historyLen + 10 {
		h.note("flapper", change{t0.Add(time.Duration(i) * time.Second), "alive", "failed"})
		h.note("flapper", change{t0.Add(time.Duration(i) * time.Second), "failed", "alive"})
	}
	if p := h.of("flapper"); len(p.changes) != historyLen || p.total != 2*historyLen+20 || p.fails != historyLen+10 || p.flaps != p.fails {
		t.Errorf("%d changes of %d, %d fails, %d flaps", len(p.changes), p.total, p.fails, p.flaps)
	}
	for i := range historyNodes + 5 {
		h.note(fmt.Sprint("n", i), change{t0.Add(time.Hour + time.Duration(i)), "", "alive"})
	}
	if len(h.nodes) != historyNodes || h.of("flapper").total != 0 || h.of("n10").total != 1 {
		t.Errorf("%d nodes have a history", len(h.nodes))
	}
}
