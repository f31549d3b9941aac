package diagnose

import (
	"strings"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/rpc"
)

// said makes a record at a second of the test's time. what is the kind, then the
// verdict, whom it is from, and how long.
func said(second float64, kind, node, from, verdict string, took time.Duration) rpc.HistoryRecord {
	at := begin.Add(time.Duration(second * float64(time.Second)))
	return rpc.HistoryRecord{At: at.UnixNano(), Kind: kind, Node: node, From: from, Verdict: verdict, Took: int64(took)}
}

var begin = time.Unix(1_700_000_000, 0)

func account(from string, records ...rpc.HistoryRecord) rpc.History {
	return rpc.History{From: from, Started: begin.Add(-time.Hour).UnixNano(), Records: records}
}

func TestWhyNamesTheCause(t *testing.T) {
	restarted := account("x")
	restarted.Started = begin.Add(12 * time.Second).UnixNano()
	for _, c := range []struct {
		name, want string
		histories  []rpc.History
	}{
		{"nothing", "nobody has accused it", []rpc.History{account("a"), account("x")}},
		{"frozen", "frozen: its process did not run for 3s, as it says itself", []rpc.History{
			account("a", said(10, "suspect", "x", "", "hung", 0), said(12, "failed", "x", "", "", 0), said(12, "member-failed", "x", "", "", 0),
				said(13, "member-join", "x", "", "", 0)),
			account("x", said(13, "slept", "", "", "", 3*time.Second), said(13, "refute-dead", "x", "a", "", 0)),
		}},
		{"frozen for good", "frozen or hung: its host answers", []rpc.History{
			account("a", said(10, "stream-ping-failed", "x", "", "", 0), said(10, "suspect", "x", "", "hung", 0), said(13, "member-failed", "x", "", "", 0)),
			account("b", said(10, "accused", "x", "a", "hung", 0), said(13, "told-dead", "x", "a", "hung", 0)),
		}},
		{"crashed", "crashed: its process ended", []rpc.History{
			account("a", said(10, "refused", "x", "", "", 0), said(10, "crashed", "x", "", "", 0), said(10, "member-failed", "x", "", "", 0)),
		}},
		{"restarted too fast", "restarted: its process ended, and was there again 2s later", []rpc.History{
			account("a", said(10, "refused", "x", "", "", 0), said(10, "crashed", "x", "", "", 0), said(10, "member-failed", "x", "", "", 0),
				said(12, "member-join", "x", "", "", 0)),
			restarted,
		}},
		{"cut link", "cut off, or its host is down: neither it nor its host answered a, b; it got no answer from 2 members itself", []rpc.History{
			account("a", said(10, "suspect", "x", "", "silent", 0), said(12, "failed", "x", "", "", 0)),
			account("b", said(10, "accused", "x", "a", "silent", 0), said(10, "suspect", "x", "", "silent", 0)),
			account("x", said(10, "suspect", "a", "", "silent", 0), said(10, "suspect", "b", "", "silent", 0)),
		}},
		{"cut link in a larger cluster", "cut off, or its host is down: neither it nor its host answered a; it heard nobody itself for 7s, so the link is to blame", []rpc.History{
			account("a", said(10, "suspect", "x", "", "silent", 0), said(11, "failed", "x", "", "", 0), said(11, "member-failed", "x", "", "", 0),
				said(17, "deaf", "", "", "", 2*time.Second), said(17, "member-join", "x", "", "", 0)),
			account("x", said(17, "deaf", "", "", "", 7*time.Second), said(17, "refute-dead", "x", "a", "", 0)),
		}},
		{"cut link of busy machines", "cut off, or its host is down: neither it nor its host answered a, b; it got no answer from 1 member itself", []rpc.History{
			account("a", said(11, "slept", "", "", "", 389*time.Millisecond), said(11, "suspect", "x", "", "silent", 0), said(20, "member-join", "x", "", "", 0)),
			account("b", said(11, "slept", "", "", "", 354*time.Millisecond), said(11, "suspect", "x", "", "silent", 0), said(20, "member-join", "x", "", "", 0)),
			account("x", said(10, "suspect", "a", "", "silent", 0), said(11, "slept", "", "", "", 375*time.Millisecond), said(19.9, "refute-dead", "x", "a", "", 0)),
		}},
		{"one-way loss", "lost packets on some ways: a got no answer, others did", []rpc.History{
			account("a", said(10, "ping-failed", "x", "", "", 0), said(10, "suspect", "x", "", "", 0), said(11, "cleared", "x", "", "", 0)),
			account("b", said(10, "accused", "x", "a", "", 0), said(11, "cleared", "x", "", "", 0)),
			account("x", said(10.5, "refute-suspect", "x", "a", "", 0)),
		}},
		{"one-way loss, through others", "lost packets on some ways: a reached it through others only", []rpc.History{
			account("a", said(10, "ping-failed", "x", "", "", 0), said(10, "indirect-only", "x", "", "", 0)), account("b"), account("x"),
		}},
		{"an announced restart", "a restart that it had announced", []rpc.History{
			account("a", said(10, "refused", "x", "", "", 0), said(10, "crashed", "x", "", "", 0), said(10, "restart-away", "x", "", "", 0)),
			restarted,
		}},
		{"UDP lost", "lost packets: it answers over TCP, and UDP gets lost between it and a", []rpc.History{
			account("a", said(10, "stream-only", "x", "", "", 0)), account("x"),
		}},
		{"starved accuser", "a starved accuser: a did not run itself for 2s", []rpc.History{
			account("a", said(9, "slept", "", "", "", 2*time.Second), said(10, "suspect", "x", "", "", 0), said(11, "cleared", "x", "", "", 0)),
			account("b", said(10, "accused", "x", "a", "", 0)),
			account("x", said(10.5, "refute-suspect", "x", "a", "", 0)),
		}},
		{"a starved accuser whose word is passed on", "a starved accuser: a did not run itself for 727ms", []rpc.History{
			account("a", said(9, "slept", "", "", "", 727*time.Millisecond), said(10, "suspect", "x", "", "silent", 0), said(10.2, "cleared", "x", "", "", 0)),
			account("b", said(10, "accused", "x", "a", "silent", 0), said(10.1, "cleared", "x", "", "", 0)),
			account("x", said(10.1, "refute-suspect", "x", "b", "", 0)),
		}},
		{"an old incident is another", "crashed", []rpc.History{
			account("a", said(10, "suspect", "x", "", "hung", 0), said(500, "refused", "x", "", "", 0), said(500, "crashed", "x", "", "", 0)),
			account("x", said(11, "slept", "", "", "", 3*time.Second)),
		}},
		{"restarted, then frozen", "frozen: its process did not run for 3s", []rpc.History{
			account("a", said(10, "refused", "x", "", "", 0), said(10, "crashed", "x", "", "", 0), said(10, "member-failed", "x", "", "", 0),
				said(12, "member-join", "x", "", "", 0), said(15, "suspect", "x", "", "hung", 0), said(17, "member-failed", "x", "", "", 0),
				said(18, "member-join", "x", "", "", 0)),
			account("b", said(12.1, "member-join", "x", "", "", 0), said(17, "told-dead", "x", "a", "hung", 0)),
			{From: "x", Started: restarted.Started, Records: []rpc.HistoryRecord{said(18, "slept", "", "", "", 3*time.Second), said(18, "refute-dead", "x", "a", "", 0)}},
		}},
		{"a plain accuser", "cut off, or its host is down: neither it nor its host answered serf1", []rpc.History{
			account("a", said(10, "accused", "x", "serf1", "", 0), said(14, "member-failed", "x", "", "", 0)),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := NewCase("x", "alive", c.histories, len(c.histories), begin)
			if got := w.cause(w.incident()); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			if text := w.Report().String(); !strings.Contains(text, "Most likely: ") {
				t.Error(text)
			}
		})
	}
}

func TestWhyCountsAccusersAndFlaps(t *testing.T) {
	w := NewCase("x", "failed", []rpc.History{
		account("a", said(1, "suspect", "x", "", "", 0), said(30, "suspect", "x", "", "", 0), said(2, "member-failed", "x", "", "", 0),
			said(31, "member-failed", "x", "", "", 0)),
		account("b", said(1, "accused", "x", "a", "", 0), said(1, "confirmed", "x", "c", "", 0), said(2, "member-failed", "x", "", "", 0)),
	}, 4, begin)
	r := w.Report()
	if r.Failures != 2 || r.Accusers["a"] != 2 || r.Accusers["c"] != 1 || len(r.Accusers) != 2 {
		t.Errorf("%d failures, accusers %v", r.Failures, r.Accusers)
	}
	if got := r.String(); !strings.Contains(got, "Top accusers: a (2), c (1).\n2 of 4 members answered.") {
		t.Error(got)
	}
	if later := NewCase("x", "", w.histories, 4, begin.Add(10*time.Second)).Report(); later.Failures != 1 {
		t.Errorf("%d failures after ten seconds", later.Failures)
	}
}

// The account is in the glossary's words, with a subject and a plural where one is due.
func TestWhyInPlainWords(t *testing.T) {
	r := NewCase("x", "failed", []rpc.History{
		account("a", said(1, "refused", "x", "", "", 0), said(1, "crashed", "x", "", "", 0), said(2, "member-failed", "x", "", "", 0)),
	}, 2, begin).Report()
	for _, want := range []string{"x is failed; it failed once in the time asked about.\n", "  a  its host refused a connection\n",
		"  a  concluded: crashed (its host refuses connections)\n", "  a  marked it failed\n", "1 of 2 members answered.\n"} {
		if got := r.String(); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for n, want := range map[int]string{0: "never", 1: "once", 2: "2 times"} { // order-free: independent
		if got := times(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}
