package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// fakeServer is a server in memory that knows keys of its configuration, and of all else only that it was asked.
type fakeServer struct {
	mu     sync.Mutex
	config map[string]string
	schema string
	asked  []string
	hook   func(ctx context.Context, c *groonga.Command) (groonga.Answer, error, bool)
	limit  int
	counts map[string]int
}

func newFake(schema string) *fakeServer {
	return &fakeServer{config: make(map[string]string), schema: schema, limit: 8, counts: make(map[string]int)}
}

func ok(body string) (groonga.Answer, error) {
	return groonga.Answer{Status: 200, Body: []byte("[[0,0.0,0.0]," + body + "]")}, nil
}

func (f *fakeServer) Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	if f.hook != nil {
		if a, err, mine := f.hook(ctx, c); mine {
			return a, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	line := c.Name
	for _, a := range c.Args {
		line += " " + a.Value
	}
	f.asked = append(f.asked, line)
	switch c.Name {
	case "config_get":
		return ok(strconv.Quote(f.config[c.Get("key")]))
	case "config_set":
		f.config[c.Get("key")] = c.Get("value")
	case "config_delete":
		delete(f.config, c.Get("key"))
	case "thread_limit":
		old := f.limit
		if n, err := strconv.Atoi(c.Get("max")); err == nil {
			f.limit = n
		}
		return ok(strconv.Itoa(old))
	case "status":
		return ok(`{"starttime":12,"uptime":5}`)
	case "object_list":
		return ok("{}")
	case "dump":
		dump := ""
		for k, v := range f.config { // order-free: for one reader of keys
			dump += "config_set " + k + " " + v + "\n"
		}
		return groonga.Answer{Status: 200, Body: []byte(dump + "\n" + f.schema)}, nil
	case "select":
		n := strconv.Itoa(f.counts[c.Get("table")])
		return ok("[[[" + n + "],[[\"_id\",\"UInt32\"]],[" + n + "]]]")
	case "load":
		r, err := groonga.Records(c)
		if err != nil {
			return groonga.Answer{}, err
		}
		f.counts[c.Get("table")] += len(r.Rows)
		return ok(strconv.Itoa(len(r.Rows)))
	}
	return ok("true")
}

// commands are those that are not the applier's own.
func (f *fakeServer) commands() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range f.asked {
		if name, _, _ := strings.Cut(line, " "); !slices.Contains([]string{"config_get", "config_set", "config_delete", "thread_limit", "status", "object_list", "dump", "select", "io_flush", "lock_clear"}, name) {
			list = append(list, line)
		}
	}
	return list
}

func inBubble(t *testing.T, cfg Config, l *logOf, f func(a *Applier, h *heard)) error {
	t.Helper()
	h := newHeard()
	if cfg.Source == nil {
		cfg.Source = l
	}
	cfg.Events, cfg.Cluster, cfg.Nonce = h, 7, "nonce"
	if cfg.Boot == "" {
		cfg.Boot = "boot1"
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	a.Feed(l.upTo)
	synctest.Wait()
	f(a, h)
	cancel()
	return <-ended
}

func loads(table string, n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("load --table %s\n[{\"_key\":\"%s%d\"}]", table, table, i))
	}
	return lines
}

// F6: a table that is locked stops its own group alone, whatever waits for it.
func TestLockedTableStopsItsGroupOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("table_create A TABLE_HASH_KEY ShortText\ntable_create X TABLE_HASH_KEY ShortText\n")
		unlock := make(chan struct{})
		f.hook = func(ctx context.Context, c *groonga.Command) (groonga.Answer, error, bool) {
			if c.Get("table") == "A" {
				select {
				case <-unlock:
				case <-ctx.Done():
					return groonga.Answer{}, ctx.Err(), true
				}
			}
			return groonga.Answer{}, nil, false
		}
		var lines []string
		for i := range 300 {
			lines = append(lines, loads("A", i+1)[i], loads("X", i+1)[i])
		}
		f.config["ibuki.nonce"] = "nonce"
		p := Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"}
		f.config["ibuki.position.1"] = sealed(1, p.Encode())
		f.config["ibuki.durable.1"] = f.config["ibuki.position.1"]
		l := newLog(entriesOf(t, lines...))
		_ = inBubble(t, Config{Server: f, SaveEvery: time.Millisecond}, l, func(_ *Applier, h *heard) {
			time.Sleep(time.Second)
			synctest.Wait()
			h.mu.Lock()
			if len(h.order) != 300 || h.prefix != 0 {
				t.Errorf("%d are applied, prefix %d", len(h.order), h.prefix)
			}
			h.mu.Unlock()
			f.mu.Lock()
			at := newestIn(f.config, keyPosition)
			f.mu.Unlock()
			for i, e := range l.entries {
				if at.Covers(e.Index) != (i%2 == 1) {
					t.Errorf("the position covers entry %d: %v", e.Index, at.Covers(e.Index))
				}
			}
			close(unlock)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if prefix, _ := h.saw(); prefix != l.upTo || h.durable != l.upTo {
				t.Errorf("prefix %d, durable %d of %d", prefix, h.durable, l.upTo)
			}
			for _, e := range l.entries {
				if a := h.answers[e.Index]; !strings.HasSuffix(string(a.Body), ",1]") {
					t.Errorf("entry %d: %s", e.Index, a.Body)
				}
			}
			if n := len(f.commands()); n >= 300 {
				t.Errorf("%d commands: loads that wait do not go together", n)
			}
		})
	})
}

func newestIn(config map[string]string, key string) (p Position) {
	newest := uint64(0)
	for _, turn := range []string{".0", ".1"} {
		if n, v, whole := unseal(config[key+turn]); whole && n >= newest {
			newest = n
			p, _ = DecodePosition(v)
		}
	}
	return p
}

// The order of the fence, and of what surrounds a command that may not be done twice.
func TestFenceAndIntentComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("")
		l := newLog(entriesOf(t, "table_create T TABLE_HASH_KEY ShortText"))
		_ = inBubble(t, Config{Server: f}, l, func(_ *Applier, h *heard) {
			if prefix, states := h.saw(); prefix != l.upTo {
				t.Fatalf("prefix %d\n%s", prefix, states)
			}
		})
		var order []string
		for _, line := range f.asked {
			for _, prefix := range []string{"lock_clear", "thread_limit 1", "thread_limit 8", "config_get ibuki.position.0", "config_set ibuki.intent.0", "io_flush no", "io_flush", "table_create", "config_set ibuki.durable", "config_set ibuki.position"} {
				if strings.HasPrefix(line, prefix) {
					order = append(order, prefix)
					break
				}
			}
		}
		want := "lock_clear,thread_limit 1,lock_clear,config_get ibuki.position.0,thread_limit 8," +
			"io_flush,config_set ibuki.durable,io_flush no,config_set ibuki.position," + // it is new
			"io_flush,config_set ibuki.durable,io_flush no," + // what came before is on the disk
			"config_set ibuki.intent.0,io_flush no,config_set ibuki.intent.0,table_create,config_set ibuki.intent.0,"
		got := strings.Join(order, ",")
		if !strings.HasPrefix(got, want) || strings.Count(got[len(want):], "config_set ibuki.position") != 1 || strings.Count(got[len(want):], "config_set ibuki.durable") != 1 {
			t.Errorf("%s\nwant %s…", got, want)
		}
		if f.limit != 8 || f.config[keyThreads] != "" {
			t.Errorf("thread limit %d, %q", f.limit, f.config[keyThreads])
		}
	})
}

// An applier that ended between its fence and its end leaves a limit of 1.
func TestLimitOfAnEarlierFenceIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("")
		f.limit, f.config[keyThreads] = 1, "12 8"
		l := newLog(entriesOf(t, "config_set --key a --value b"))
		_ = inBubble(t, Config{Server: f}, l, func(*Applier, *heard) {})
		if f.limit != 8 {
			t.Errorf("limit %d", f.limit)
		}
	})
}

// A fault of the host skips nothing and keeps the order of its group.
func TestHostFaultsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("table_create A TABLE_HASH_KEY ShortText\n")
		left := 5
		f.hook = func(_ context.Context, c *groonga.Command) (groonga.Answer, error, bool) {
			if c.Name == "load" || c.Name == "delete" {
				f.mu.Lock()
				defer f.mu.Unlock()
				if left--; left >= 0 {
					return groonga.Answer{Code: -12, Body: []byte("[[-12,0,0],0]")}, nil, true
				}
			}
			return groonga.Answer{}, nil, false
		}
		l := newLog(entriesOf(t, append(loads("A", 2), "delete A A0", "load --table A\n[{\"_key\":\"A0\"}]")...))
		f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"})
		_ = inBubble(t, Config{Server: f}, l, func(_ *Applier, h *heard) {
			time.Sleep(time.Minute)
			synctest.Wait()
			if !slices.Equal(h.order, []uint64{1, 3, 5, 7}) {
				t.Errorf("order %v", h.order)
			}
		})
	})
}

func (f *fakeServer) adopt(p Position) {
	f.config[KeyNonce] = p.Nonce
	f.config[keyPosition+".1"] = sealed(1, p.Encode())
	f.config[keyDurable+".1"] = sealed(1, p.Encode())
}

// No answer: the server is fenced, and the position that it has decides.
func TestNoAnswerBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("table_create A TABLE_HASH_KEY ShortText\ntable_create K TABLE_NO_KEY\n")
		lost := false
		f.hook = func(_ context.Context, c *groonga.Command) (groonga.Answer, error, bool) {
			if c.Name == "load" && c.Get("table") == "K" && !lost {
				lost = true
				f.mu.Lock()
				f.counts["K"] += 2 // two of its three are in
				f.mu.Unlock()
				return groonga.Answer{}, errors.New("connection reset"), true
			}
			return groonga.Answer{}, nil, false
		}
		l := newLog(entriesOf(t, "load --table A\n[{\"_key\":\"a\"}]", "load --table K\n[{},{},{}]", "load --table A\n[{\"_key\":\"b\"}]"))
		f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"})
		_ = inBubble(t, Config{Server: f}, l, func(_ *Applier, h *heard) {
			time.Sleep(time.Minute)
			synctest.Wait()
			if prefix, states := h.saw(); prefix != l.upTo {
				t.Fatalf("prefix %d\n%s", prefix, states)
			}
			if got := string(h.answers[3].Body); got != "[[0,0.0,0.0],3]" {
				t.Errorf("answer %s", got)
			}
			if n := strings.Count(strings.Join(f.asked, "\n"), "thread_limit 1"); n != 2 {
				t.Errorf("%d fences", n)
			}
		})
		var k []string
		for _, line := range f.commands() {
			if strings.HasPrefix(line, "load K") {
				k = append(k, line)
			}
		}
		if len(k) != 1 || f.counts["K"] != 2+1 { // the third alone: the server has run all the time
			t.Errorf("%v, %d", k, f.counts["K"])
		}
	})
}

// After the host was booted, what is durable is where it begins; what may not be done twice and may have been
// done makes it suspect, and the database keeps that.
func TestBootBeginsAtTheDurablePosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("table_create A TABLE_HASH_KEY ShortText\ntable_create K TABLE_NO_KEY\n")
		l := newLog(entriesOf(t, append(loads("A", 3), "load --table K\n[{}]", "load --table A\n[{\"_key\":\"x\"}]")...))
		f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce", Index: 3, Last: 3, Term: 1, Seen: 3})
		p := Position{Cluster: 7, Boot: "boot1", Nonce: "nonce", Index: 9, Last: 9, Term: 1, Seen: 9}
		f.config[keyPosition+".0"] = sealed(2, p.Encode())
		err := inBubble(t, Config{Server: f, Boot: "boot2"}, l, func(_ *Applier, h *heard) {
			time.Sleep(time.Minute)
			synctest.Wait()
			_, states := h.saw()
			if !strings.Contains(states, "up: the host was booted: from entry 4") {
				t.Errorf("%s %v", states, h.order)
			}
		})
		if !errors.Is(err, ErrSuspect) || !strings.Contains(err.Error(), "entry 7 (load K) was perhaps done") {
			t.Errorf("%v", err)
		}
		err = inBubble(t, Config{Server: f, Boot: "boot2"}, l, func(*Applier, *heard) { time.Sleep(time.Minute) })
		if !errors.Is(err, ErrSuspect) {
			t.Errorf("the second time: %v", err)
		}
	})
}

// A flush that fails makes it suspect.
func TestFailedFlushIsSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("table_create A TABLE_HASH_KEY ShortText\n")
		f.hook = func(_ context.Context, c *groonga.Command) (groonga.Answer, error, bool) {
			return groonga.Answer{Code: -6, Body: []byte("[[-6,0,0],false]")}, nil, c.Name == "io_flush"
		}
		l := newLog(entriesOf(t, loads("A", 1)...))
		f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"})
		err := inBubble(t, Config{Server: f}, l, func(_ *Applier, h *heard) { time.Sleep(time.Minute) })
		if !errors.Is(err, ErrSuspect) || f.config[keySuspect] == "" {
			t.Errorf("%v", err)
		}
	})
}

// A database that is swapped under a running applier gets no position of the other one's.
func TestSwappedDatabaseIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("table_create A TABLE_HASH_KEY ShortText\n")
		l := newLog(entriesOf(t, loads("A", 4)...))
		f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"})
		err := inBubble(t, Config{Server: f}, l, func(a *Applier, h *heard) {
			time.Sleep(time.Minute)
			synctest.Wait()
			f.mu.Lock()
			clear(f.config)
			f.mu.Unlock()
			l.entries = append(l.entries, Entry{Index: 100, Term: 1, Command: parsed(t, "delete A a")})
			l.upTo = 100
			a.Feed(100, l.entries[4])
			time.Sleep(time.Minute)
			synctest.Wait()
		})
		if !errors.Is(err, ErrSuspect) || f.config[keyPosition+".0"] != "" || f.config[keyPosition+".1"] != "" {
			t.Errorf("%v", err)
		}
	})
}

// A backlog is read from the log on disk, and not kept.
func TestBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("table_create A TABLE_HASH_KEY ShortText\n")
		l := newLog(entriesOf(t, loads("A", 500)...))
		f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"})
		src := &readSizes{logOf: l}
		_ = inBubble(t, Config{Server: f, Source: src, MaxEntries: 20, MaxBytes: 8192}, l, func(a *Applier, h *heard) {
			for _, e := range l.entries {
				a.Feed(e.Index, e)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if prefix, _ := h.saw(); prefix != l.upTo {
				t.Errorf("prefix %d", prefix)
			}
		})
		if src.most > 20 {
			t.Errorf("%d entries at once", src.most)
		}
	})
}

type readSizes struct {
	*logOf
	most int
}

func (r *readSizes) Entries(after uint64, maxBytes int) ([]Entry, uint64, error) {
	list, upTo, err := r.logOf.Entries(after, maxBytes)
	r.most = max(r.most, len(list))
	return list, upTo, err
}

// A schema command that was answered before the applier ended has the same answer afterwards, and is not done again.
func TestAnsweredSchemaCommandIsNotDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("table_create A TABLE_NO_KEY\n")
		l := newLog(entriesOf(t, "table_create A TABLE_HASH_KEY ShortText", "load --table A\n[{}]"))
		f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"})
		i := intent{Index: 1, Sum: sum(l.entries[0].Command), Boot: "boot1", Sent: true, Done: true, Code: -22}
		f.config[keyIntent+"3"] = sealed(1, i.encode())
		_ = inBubble(t, Config{Server: f}, l, func(_ *Applier, h *heard) {
			time.Sleep(time.Minute)
			synctest.Wait()
			if a := h.answers[1]; a.Code != -22 || string(a.Body) != "[[-22,0.0,0.0],false]" {
				t.Errorf("%d %s", a.Code, a.Body)
			}
		})
		if got := f.commands(); len(got) != 1 || !strings.HasPrefix(got[0], "load") {
			t.Errorf("%v", got)
		}
		if _, _, whole := unseal(f.config[keyIntent+"0"]); !whole {
			t.Error("the table is taken for one with keys: its load has no intent")
		}
	})
}

// An answer that is lost has the question asked anew, and the applier goes on.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	for _, name := range []string{"status", "config_get", "config_set", "object_list", "thread_limit"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake("table_create A TABLE_HASH_KEY ShortText\n")
			var once sync.Once
			f.hook = func(ctx context.Context, c *groonga.Command) (a groonga.Answer, err error, mine bool) {
				if c.Name == name && c.Get("max") != "1" {
					once.Do(func() {
						<-ctx.Done()
						err, mine = ctx.Err(), true
					})
				}
				return a, err, mine
			}
			l := newLog(entriesOf(t, loads("A", 3)...))
			_ = inBubble(t, Config{Server: f, Founding: true}, l, func(_ *Applier, h *heard) {
				time.Sleep(questionWait + 5*time.Second)
				if p, states := h.saw(); p != l.upTo {
					t.Errorf("%s: it is at %d, want %d: %s", name, p, l.upTo, states)
				}
			})
		})
	}
}
