package handler

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/wire"
)

// serialRig are handlers in Serf's form whose commands take a second each and note what
// they were run for.
type serialRig struct {
	*Set
	mu       sync.Mutex
	ran      []string
	declined []serf.QueryID
	log      bytes.Buffer
}

func newSerialRig(t *testing.T, specs ...string) *serialRig {
	t.Helper()
	r := &serialRig{}
	r.Set = NewSet(slog.New(slog.NewTextHandler(&r.log, nil)), func(serf.QueryID, []byte, serf.Outcome) error { return nil })
	r.Decline = func(id serf.QueryID) { r.declined = append(r.declined, id) }
	r.Run = func(h *Handler, j *Job, kill <-chan struct{}) (Output, error) {
		line := h.Command + " " + j.Event.Type.String()
		if j.Event.Name != "" {
			line += " " + j.Event.Name
		}
		for _, m := range j.Event.Members {
			line += " " + m.Name
		}
		if j.Event.Type == serf.EventMemberUpdate {
			line += fmt.Sprint(" was ", len(j.old))
		}
		r.note(line)
		select {
		case <-time.After(time.Second):
		case <-kill:
			return Output{}, errLeft
		}
		return Output{}, nil
	}
	if err := r.Use(specs); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *serialRig) note(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ran = append(r.ran, line)
}

func (r *serialRig) event(e serf.Event) bool {
	return r.Deliver(&e, func() serf.Member { return serf.Member{Name: "me"} })
}

func (r *serialRig) member(t serf.EventType, names ...string) {
	e := serf.Event{Type: t}
	for _, n := range names {
		e.Members = append(e.Members, serf.Member{Name: n})
	}
	r.event(e)
}

func (r *serialRig) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := strings.Join(r.ran, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("ran:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	r.ran = nil
}

// P154: one at a time over all handlers, in the order of the events, within one event in
// the order of the handlers, once for each TYPE that matches. What waits of one type
// beside each other is one run.
func TestP154_SerialOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(t, "member-join=J", "member-leave,member-failed=L", "user,user:x=U", "*=A")
		r.member(serf.EventMemberJoin, "web1")
		synctest.Wait()
		r.member(serf.EventMemberLeave, "web1")
		r.member(serf.EventMemberJoin, "web1")
		r.event(serf.Event{Type: serf.EventUser, Name: "x"})
		for i := range 16 {
			r.member(serf.EventMemberFailed, fmt.Sprintf("rack%02d", 15-i))
		}
		time.Sleep(time.Minute)
		r.want(t, "J member-join web1", "A member-join web1", "L member-leave web1", "A member-leave web1",
			"J member-join web1", "A member-join web1", "U user x", "U user x", "A user x",
			"L member-failed rack00 rack01 rack02 rack03 rack04 rack05 rack06 rack07 rack08 rack09 rack10 rack11 rack12 rack13 rack14 rack15",
			"A member-failed rack00 rack01 rack02 rack03 rack04 rack05 rack06 rack07 rack08 rack09 rack10 rack11 rack12 rack13 rack14 rack15")
		r.Stop()
	})
}

// What waits goes to the handlers that a reload brings; the one that runs goes on.
func TestSerialReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(t, "user=old1", "user=old2")
		for _, n := range []string{"a", "b"} {
			r.event(serf.Event{Type: serf.EventUser, Name: n})
		}
		synctest.Wait()
		if err := r.Use([]string{"user=new"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.want(t, "old1 user a", "old2 user a", "new user b")
		if err := r.Use(nil); err != nil {
			t.Fatal(err)
		}
		if r.event(serf.Event{Type: serf.EventQuery, Name: "q"}) {
			t.Error("nobody answers, and yet")
		}
		r.Stop()
	})
}

// P227: a query that waited past its deadline is not begun, and the node says that it
// does not answer; so it does of one that nobody wants any more.
func TestSerialQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(t, "user=slow", "query=Q")
		r.event(serf.Event{Type: serf.EventUser, Name: "u"})
		late := serf.Event{Type: serf.EventQuery, Name: "late", Query: serf.QueryID{ID: 1}, Deadline: time.Now().Add(900 * time.Millisecond)}
		if !r.event(late) {
			t.Error("a handler may answer")
		}
		r.event(serf.Event{Type: serf.EventQuery, Name: "in time", Query: serf.QueryID{ID: 2}, Deadline: time.Now().Add(time.Hour)})
		time.Sleep(time.Minute)
		r.want(t, "slow user u", "Q query in time")
		if fmt.Sprint(r.declined) != "[{0 1} {0 2}]" {
			t.Errorf("declined: %v", r.declined)
		}
		r.Stop()
		if got := r.log.String(); !strings.Contains(got, "the time of query 'late' was over before its turn") || !strings.Contains(got, "behind script 'slow'") {
			t.Errorf("log: %s", got)
		}
	})
}

// A handler that takes long is named, with how many wait.
func TestSerialLongRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(t, "user=long")
		r.Run = func(_ *Handler, _ *Job, kill <-chan struct{}) (Output, error) {
			<-kill
			return Output{}, errLeft
		}
		for range 3 {
			r.event(serf.Event{Type: serf.EventUser, Name: "u"})
		}
		time.Sleep(2*longRun + time.Second)
		r.Stop()
		if n := strings.Count(r.log.String(), "2 events wait for it to end"); n != 2 || !strings.Contains(r.log.String(), "has been running for 2m0s") {
			t.Errorf("%d lines: %s", n, r.log.String())
		}
	})
}

// A full queue loses user events, the oldest first, counted; of each member what counts stays.
func TestSerialQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(t, "*=A")
		r.event(serf.Event{Type: serf.EventUser, Name: "runs"})
		synctest.Wait()
		r.event(serf.Event{Type: serf.EventQuery, Name: "q", Query: serf.QueryID{ID: 7}})
		tag := func(v string) []wire.Tag { return []wire.Tag{{Key: "k", Value: v}} }
		for i := range serialQueue {
			r.member(serf.EventMemberFailed, "flaps")
			r.event(serf.Event{Type: serf.EventUser, Name: fmt.Sprint("u", i)})
			r.member(serf.EventMemberJoin, "flaps")
			r.event(serf.Event{Type: serf.EventMemberUpdate, Members: []serf.Member{{Name: fmt.Sprint("n", i%3), Tags: tag(fmt.Sprint(i))}}})
		}
		r.member(serf.EventMemberLeave, "n0")
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		var users, members []string
		for _, l := range r.ran[1:] {
			if strings.HasPrefix(l, "A user") {
				users = append(users, l)
			} else {
				members = append(members, l)
			}
		}
		if n := len(users); n < 3500 || users[n-1] != fmt.Sprint("A user u", serialQueue-1) {
			t.Errorf("%d user events were run, the last: %s", len(users), users[len(users)-1])
		}
		if n := len(members); n > 600 {
			t.Errorf("%d runs for members", n)
		}
		last := map[string]string{}
		for _, l := range members {
			for _, n := range strings.Fields(l)[2:] {
				last[n] = strings.Fields(l)[1]
			}
		}
		if last["flaps"] != "member-join" || last["n0"] != "member-leave" || last["n1"] != "member-update" {
			t.Errorf("told last: %v", last)
		}
		s := r.Stats()[0]
		if int(s.Dropped)+len(users) != serialQueue || len(r.declined) != 1 {
			t.Errorf("%d dropped, %d run, declined %v", s.Dropped, len(users), r.declined)
		}
		r.Stop()
		if n := strings.Count(r.log.String(), "Handlers do not keep up"); n != 1 {
			t.Errorf("%d lines: %s", n, r.log.String())
		}
	})
}

// Those with queues of their own do not wait for those in Serf's form, nor the reverse.
func TestSerialBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(t, "user=serf")
		own := Handler{Command: "own", Filters: r.List()[0].Filters}
		r.Run = func(h *Handler, _ *Job, kill <-chan struct{}) (Output, error) {
			r.note(h.Command)
			if h.Command == "serf" {
				<-kill
			}
			return Output{}, nil
		}
		if err := r.Use([]string{"user=serf"}, own); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.event(serf.Event{Type: serf.EventUser, Name: "u"})
			synctest.Wait()
		}
		if n := len(r.ran); n != 4 {
			t.Errorf("%d runs: %v", n, r.ran)
		}
		// Each gets what is for its audience.
		r.event(serf.Event{To: serf.Windowed, Type: serf.EventUser, Name: "w"})
		r.event(serf.Event{To: serf.Prompt, Type: serf.EventUser, Name: "p"})
		synctest.Wait()
		if n := len(r.ran); n != 5 || r.serial.queue.len() != 3 {
			t.Errorf("%d runs: %v, %d wait", n, r.ran, r.serial.queue.len())
		}
		r.Stop()
	})
}

// With Update each event is followed by an update of its members, right behind it and
// merged with it.
func TestSerialUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(t, "*=A")
		r.Update = true
		r.member(serf.EventMemberJoin, "a")
		synctest.Wait()
		r.member(serf.EventMemberFailed, "b")
		r.member(serf.EventMemberFailed, "c")
		r.member(serf.EventMemberReap, "b")
		time.Sleep(time.Minute)
		r.want(t, "A member-join a", "A member-update a was 1", "A member-failed b c", "A member-update b c was 2", "A member-reap b")
		r.Stop()
	})
}
