//go:build unix

package handler

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

func userEvent(name, payload string) serf.Event {
	return serf.Event{Type: serf.EventUser, Name: name, Payload: []byte(payload)}
}

// one is the only runner.
func (s *scriptTest) one() *runner {
	s.Set.mu.Lock()
	defer s.Set.mu.Unlock()
	for _, r := range s.runners {
		return r
	}
	return nil
}

// A run that takes too long is ended with all that it has started, and the next
// event has its turn. P154, P158
func TestHandlerTimeout(t *testing.T) {
	t.Parallel()
	s := newHandlerTest(t, nil, Handler{Timeout: 1500 * time.Millisecond,
		Command: `read what; [ $what = quick ] && touch DIR/quick && exit; trap '' TERM; sleep 60 & echo $! > DIR/pid; wait; wait`})
	r := s.one()
	s.event(userEvent("x", "slow"))
	s.event(userEvent("x", "quick"))
	pid := waitForPid(t, filepath.Join(s.dir, "pid"))
	s.wgWait(t)
	log := s.end()
	if !strings.Contains(log, "timed out after 1.5s") {
		t.Errorf("not said: %s", log)
	}
	s.read(t, "quick")
	for end := time.Now().Add(30 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %d of the handler is still there", pid)
		}
	}
	if c := r.counts; c.runs.Load() != 2 || c.failed.Load() != 1 || c.timedOut.Load() != 1 {
		t.Errorf("%d runs, %d failed, %d timed out", c.runs.Load(), c.failed.Load(), c.timedOut.Load())
	}
}

// Two that wait for each other both end only if they run at once.
func TestHandlerParallel(t *testing.T) {
	s := newHandlerTest(t, nil, Handler{Parallel: 2, Timeout: 10 * time.Second,
		Command: `read me; touch DIR/$me; until [ -e DIR/a ] && [ -e DIR/b ]; do sleep 0.01; done`})
	r := s.one()
	s.event(userEvent("x", "a"))
	s.event(userEvent("x", "b"))
	s.wgWait(t)
	log := s.end()
	if r.counts.failed.Load() != 0 {
		t.Errorf("they did not run at once: %s", log)
	}
}

func TestHandlerRetries(t *testing.T) {
	// It fails until it was run as often as the event says.
	s := newHandlerTest(t, nil, Handler{Retries: 2, RetryPause: 10 * time.Millisecond,
		Command: `read n; echo x >> DIR/$n; [ $(wc -l < DIR/$n) -ge $n ]`})
	r := s.one()
	for _, n := range []string{"1", "3", "9"} {
		s.event(userEvent("x", n))
	}
	s.wgWait(t)
	s.end()
	for name, want := range map[string]int{"1": 1, "3": 3, "9": 3} {
		if n := strings.Count(s.read(t, name), "x"); n != want {
			t.Errorf("what succeeds at run %s was run %d times, want %d", name, n, want)
		}
	}
	if c := r.counts; c.runs.Load() != 7 || c.failed.Load() != 5 || c.retried.Load() != 4 {
		t.Errorf("%d runs, %d failed, %d retried", c.runs.Load(), c.failed.Load(), c.retried.Load())
	}
}

// The end of the agent does not wait for a further try.
func TestHandlerRetryEndsWithTheAgent(t *testing.T) {
	s := newHandlerTest(t, nil, Handler{Retries: 5, RetryPause: time.Minute, Command: `touch DIR/ran; exit 1`})
	s.event(userEvent("x", ""))
	for end := time.Now().Add(30 * time.Second); s.one().counts.failed.Load() == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not run")
		}
	}
	begun := time.Now()
	s.end()
	if took := time.Since(begun); took > 30*time.Second { // the pause is a minute
		t.Errorf("took %v", took)
	}
}

// P169: a query whose time is over is not run any more, in Serf's form neither.
func TestExpiredQueriesAreNotRun(t *testing.T) {
	s := newHandlerTest(t, []string{"query=touch DIR/$SERF_QUERY_NAME"})
	r := s.one()
	s.event(serf.Event{Type: serf.EventQuery, Name: "late", Deadline: time.Now().Add(-time.Millisecond)})
	s.event(serf.Event{Type: serf.EventQuery, Name: "intime", Deadline: time.Now().Add(time.Minute)})
	s.wgWait(t)
	log := s.end()
	if _, err := os.Stat(filepath.Join(s.dir, "late")); err == nil {
		t.Error("a query that was over was run")
	}
	s.read(t, "intime")
	if r.counts.expired.Load() != 1 || !strings.Contains(log, "the time of query 'late' was over before its turn") {
		t.Errorf("%d counted: %s", r.counts.expired.Load(), log)
	}
}

// P167: how an answer came about, and an answer for a handler that failed, for who wants it.
func TestQueryOutcome(t *testing.T) {
	t.Parallel()
	command := `case $SERF_QUERY_NAME in good) echo yes;; bad) echo no; exit 3;; long) head -c 9000 /dev/zero;; ` +
		`killed) kill -9 $$;; slow) sleep 60;; silent) ;; esac`
	for _, wants := range []bool{false, true} {
		s := newHandlerTest(t, nil, Handler{Command: command, Timeout: 1500 * time.Millisecond})
		for _, name := range []string{"good", "bad", "long", "killed", "slow", "silent"} {
			s.event(serf.Event{Type: serf.EventQuery, Name: name, WantsOutcome: wants})
		}
		s.wgWait(t)
		s.end()
		got := fmt.Sprint(s.outcomes)
		want := "[{true 0 false} {true 3 false} {true 0 true} {true 137 false} {true 124 false} {true 0 false}]"
		if !wants {
			want = "[{true 0 false} {true 0 true}]" // what succeeded and said something, as with Serf
		}
		if got != want {
			t.Errorf("wanted %v: got %s, want %s", wants, got, want)
		}
		if s.answers[0] != "yes\n" || wants && s.answers[1] != "no\n" {
			t.Errorf("answers %.40q", s.answers)
		}
	}
}

func TestHandlerJSON(t *testing.T) {
	s := newHandlerTest(t, nil, Handler{JSON: true, Command: `cat >> DIR/in`})
	member := serf.Member{Name: "n1", Addr: netip.MustParseAddrPort("10.0.0.1:7946"), Status: serf.StatusAlive,
		Tags: []wire.Tag{{Key: "role", Value: "db"}}}
	s.event(serf.Event{Type: serf.EventMemberJoin, Members: []serf.Member{member}})
	member.Tags = []wire.Tag{{Key: "role", Value: "web"}}
	s.event(serf.Event{Type: serf.EventMemberUpdate, Members: []serf.Member{member}})
	deadline := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).AddDate(100, 0, 0)
	s.event(serf.Event{Type: serf.EventQuery, Name: "q", LTime: 5, Source: "asker", Payload: []byte("a\tb\"ü"), Deadline: deadline})
	s.event(serf.Event{Type: serf.EventUser, Name: "u", Payload: []byte{0xff, 0}})
	s.wgWait(t)
	s.end()
	self := `"self":{"name":"me","addr":"10.0.0.9","port":7947,"status":"none","tags":{"a:b/ü":"v\nw","role":"web"}}`
	n1 := `"name":"n1","addr":"10.0.0.1","port":7946,"status":"alive"`
	want := `{"event":"member-join",` + self + `,"members":[{` + n1 + `,"tags":{"role":"db"}}]}
{"event":"member-update",` + self + `,"members":[{` + n1 + `,"tags":{"role":"web"},"old_tags":{"role":"db"}}]}
{"event":"query",` + self + `,"name":"q","ltime":5,"payload":"a\tb\"ü","source":"asker","deadline":"2126-01-02T03:04:05Z"}
{"event":"user",` + self + `,"name":"u","payload_base64":"/wA="}
`
	got := s.read(t, "in")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

func TestOldTags(t *testing.T) {
	s := newHandlerTest(t, []string{`member-update=printf "%s\n" "$SERF_OLD_TAGS" > DIR/old; cat > DIR/new`})
	tags := func(v string) []wire.Tag { return []wire.Tag{{Key: "a", Value: v}, {Key: "b", Value: "x\ty"}} }
	members := func(v string) []serf.Member {
		return []serf.Member{{Name: "m", Tags: tags(v + "1")}, {Name: "n", Tags: tags(v + "2")}}
	}
	s.event(serf.Event{Type: serf.EventMemberJoin, Members: members("old")})
	s.event(serf.Event{Type: serf.EventMemberUpdate, Members: members("new")})
	s.wgWait(t)
	s.end()
	if old := s.read(t, "old"); old != "a=old1,b=x\\ty\na=old2,b=x\\ty\n" {
		t.Errorf("old tags: %q", old)
	}
	if now := s.read(t, "new"); !strings.Contains(now, "a=new2,b=x\\ty") {
		t.Errorf("members: %q", now)
	}
}

// More than a variable can hold is left out, and the handler runs all the same.
func TestOldTagsTooLong(t *testing.T) {
	s := newHandlerTest(t, []string{`member-update=echo "${SERF_OLD_TAGS-none}" > DIR/old; cat > /dev/null`})
	var members []serf.Member
	for i := range 400 {
		members = append(members, serf.Member{Name: fmt.Sprint(i), Tags: []wire.Tag{{Key: "k", Value: strings.Repeat("v", 400)}}})
	}
	s.event(serf.Event{Type: serf.EventMemberJoin, Members: members})
	s.event(serf.Event{Type: serf.EventMemberUpdate, Members: members})
	s.wgWait(t)
	s.end()
	if old := s.read(t, "old"); old != "none\n" {
		t.Errorf("%.100q", old)
	}
}

func TestJobQueue(t *testing.T) {
	names := func(q *jobQueue) string {
		var list []string
		for q.len() > 0 {
			j, _ := q.next()
			list = append(list, j.Event.Name+string(j.Event.Payload))
		}
		return strings.Join(list, " ")
	}
	for _, c := range []struct {
		drop       DropRule
		want, lost string
	}{
		{DropNewest, "a1 b1 a2", "b2 c1 "},
		{DropOldest, "a2 b2 c1", "a1 b1 "},
		{DropSame, "a2 b2 c1", ""},
	} {
		q := newJobQueue(3, c.drop)
		lost := ""
		for _, n := range []string{"a1", "b1", "a2", "b2", "c1"} {
			e := userEvent(n[:1], n[1:])
			if l := q.add(&Job{Event: e}); l != nil {
				lost += l.Event.Name + string(l.Event.Payload) + " "
			}
		}
		if got := names(q); got != c.want || lost != c.lost {
			t.Errorf("%v: kept %q, lost %q", c.drop, got, lost)
		}
		q.close()
		if l := q.add(&Job{}); l == nil {
			t.Error("a closed queue took something")
		}
		if _, ok := q.next(); ok {
			t.Error("a closed queue that is empty has something")
		}
	}
	// Of the same kind only one waits, and the oldest goes when there is no room.
	q := newJobQueue(2, DropSame)
	for _, n := range []string{"a1", "b1", "c1"} {
		q.add(&Job{Event: userEvent(n[:1], n[1:])})
	}
	if got := names(q); got != "b1 c1" {
		t.Errorf("kept %q", got)
	}
}
