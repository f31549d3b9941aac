package delivery

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	scenarios = flag.Bool("scenarios", false, "TestScenarios: play all of them, some minutes long")
	before    = flag.String("before", "", "TestScenarios: an ibuki of before the log, to play them with its -buffer too")
)

// figures are what a scenario comes to.
type figures struct {
	done      int // acknowledged writes
	lost      int // of those, with a key of their own, that some server lacks
	overtaken int // keys that have an older value than an acknowledged later one at some server
	differing int // keys that the servers have different values of
	refused   time.Duration
}

func (f figures) String() string {
	return fmt.Sprintf("done %d, lost %d, overtaken %d, differing %d, longest without a write done on the side of the majority %v",
		f.done, f.lost, f.overtaken, f.differing, f.refused.Round(10*time.Millisecond))
}

// judge reports what a scenario came to. What an earlier build comes to is only reported.
func (f figures) judge(t *testing.T, keep string) {
	t.Helper()
	t.Logf("-%s: %v", keep, f)
	if keep == "log" && f.lost+f.overtaken+f.differing > 0 {
		t.Error("not one of them may be")
	}
}

// TestScenarios plays what lost, overtook or split writes before there was a log, and, if asked
// for, plays it with an ibuki of that time too.
func TestScenarios(t *testing.T) {
	t.Run("stopped gateway, truncate", func(t *testing.T) { newHosts(t, "log").stoppedGateway().judge(t, "log") })
	if !*scenarios {
		return
	}
	keeps := []string{"log"}
	if *before != "" {
		keeps = append(keeps, "buffer")
		t.Run("with buffers: stopped gateway, truncate", func(t *testing.T) { newHosts(t, "buffer").stoppedGateway().judge(t, "buffer") })
	}
	for _, keep := range keeps {
		t.Run(keep, func(t *testing.T) {
			for _, c := range networkScenarios {
				t.Run(c.name, func(t *testing.T) {
					h := newHosts(t, keep)
					h.contended(func() { c.cut(h) }, c.majority).judge(t, keep)
				})
			}
			t.Run("lock", func(t *testing.T) { newHosts(t, keep).locked() })
			t.Run("index", func(t *testing.T) { newHosts(t, keep).indexed() })
		})
	}
}

var networkScenarios = []struct {
	name     string
	cut      func(h *hosts)
	majority []int // the hosts on the side of the majority
}{
	{"host 0 cut off", func(h *hosts) { h.block(0, "INPUT", "-i", "eth0"); h.block(0, "OUTPUT", "-o", "eth0") }, []int{1, 2}},
	{"port 10040 of host 0", func(h *hosts) { h.blockPort(0, 1); h.blockPort(0, 2) }, []int{1, 2}},
	{"host 0 hears nothing", func(h *hosts) { h.block(0, "INPUT", "-i", "eth0") }, []int{1, 2}},
	{"port 10040 of hosts 0 and 1", func(h *hosts) { h.blockPort(0, 1) }, []int{0, 1, 2}},
}

// blockPort cuts the way between two gateways, and nothing else.
func (h *hosts) blockPort(i, other int) {
	for _, end := range []string{"--dport", "--sport"} {
		h.block(i, "INPUT", "-p", "tcp", "-s", h.address(other), end, strconv.Itoa(gatewayPort))
	}
}

// stoppedGateway stops the gateway that puts writes in their order, has another one truncate
// a table and fill it again, and has the stopped one go on.
func (h *hosts) stoppedGateway() (f figures) {
	h.schema()
	const records = 1000
	rows := make([]string, records)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"_key":"w0-%d","value":"v"}`, i)
	}
	u, body := h.user(1, 0, newHistory()), "["+strings.Join(rows, ",")+"]"
	first := h.leader()
	if first == 1 {
		u = h.user(0, 0, newHistory())
	}
	fill := func() outcome {
		f.done++
		return u.ask("load", command("load", "table", "Emptied"), body, fmt.Sprintf(",%d]", records))
	}
	fill()
	h.gateways[first].freeze()
	begun := time.Now()
	if o := u.ask("truncate", command("truncate", "target_name", "Emptied"), "", ",true]"); o != done {
		h.t.Errorf("truncate: %v", u.past.said)
	}
	f.refused = time.Since(begun)
	if o := fill(); o != done {
		h.t.Errorf("load: %v", u.past.said)
	}
	time.Sleep(2 * time.Second)
	h.gateways[first].thaw()
	time.Sleep(2 * time.Second)
	h.heal()
	for i := range nodes {
		text, err := h.contents(i)
		if err != nil {
			h.t.Fatal(err)
		}
		f.lost = max(f.lost, records-len(h.registers(text)))
	}
	return f
}

const (
	contendedKeys = 200
	contendedFor  = 12 * time.Second
)

// contended has two clients at each gateway fight for keys while the network is cut for a
// part of the time.
func (h *hosts) contended(cut func(), majority []int) (f figures) {
	h.schema()
	past := newHistory()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	longest := make([]time.Duration, nodes)
	var mu sync.Mutex
	for i := range 2 * nodes {
		u := h.user(i%nodes, i, past)
		random := rand.New(rand.NewPCG(1, uint64(i)))
		wg.Go(func() {
			last := time.Now()
			for n := 0; ctx.Err() == nil; n++ {
				u.append(fmt.Sprintf("c%d-%d", i, n))
				ok := u.write(fmt.Sprintf("r0-%d", random.IntN(contendedKeys)), fmt.Sprintf("c%d-%d", i, n))
				mu.Lock()
				longest[i%nodes] = max(longest[i%nodes], time.Since(last))
				mu.Unlock()
				if ok {
					last = time.Now()
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	time.Sleep(contendedFor / 4)
	cut()
	time.Sleep(contendedFor / 2)
	for i := range nodes {
		h.unblock(i)
	}
	time.Sleep(contendedFor / 4)
	cancel()
	wg.Wait()
	h.heal()
	time.Sleep(5 * time.Second) // what comes late
	f = h.figures(past)
	for _, i := range majority {
		f.refused = max(f.refused, longest[i])
	}
	return f
}

// figures compares what the servers have with what was acknowledged.
func (h *hosts) figures(past *history) (f figures) {
	var values []map[string]string
	missing := make(map[string]bool)
	for i := range nodes {
		text, err := h.contents(i)
		if err != nil {
			h.t.Fatal(err)
		}
		values = append(values, h.registers(text))
		there := make(map[string]bool)
		for _, line := range text {
			for name := range noteOf(line) {
				there[name] = true
			}
		}
		for name, o := range past.notes {
			missing[name] = missing[name] || o == done && !there[name]
		}
	}
	for name := range missing {
		if missing[name] {
			f.lost++
		}
	}
	byValue, last := make(map[string]operation), make(map[string]time.Duration) // by key: the latest begin of an acknowledged write
	for _, o := range past.list {
		byValue[o.value] = o
		if o.outcome == done {
			f.done++
			last[o.key] = max(last[o.key], o.call)
		}
	}
	for key := range past.registered {
		overtaken, differ := false, false
		for i := range nodes {
			o := byValue[values[i][key]]
			overtaken = overtaken || o.outcome == done && o.ret < last[key]
			differ = differ || values[i][key] != values[0][key]
		}
		if overtaken {
			f.overtaken++
		}
		if differ {
			f.differing++
		}
	}
	return f
}

// locked has a client lock a table, and another one wait for it.
func (h *hosts) locked() {
	h.schema()
	h.order(1, "lock_acquire", "target_name", "Emptied")
	var wg sync.WaitGroup
	defer wg.Wait()
	waits := h.user(1, 0, newHistory())
	wg.Go(func() { waits.write("w0-0", "c0-0") })
	time.Sleep(500 * time.Millisecond)
	u := h.user(1, 1, newHistory())
	u.ReadTimeout = 20 * time.Second
	begun := time.Now()
	o := u.ask("load", command("load", "table", "Registers"), `[{"_key":"r0-0","value":"c1-1"}]`, ",1]")
	h.t.Logf("with -%s: a load into another table while one is locked: %v after %v", h.keep, u.past.said, time.Since(begun).Round(time.Millisecond))
	if h.keep == "log" && o != done {
		h.t.Error("it has to be done")
	}
	begun = time.Now()
	text, err := h.fetch(1, h.frontOf(1), command("lock_release", "target_name", "Emptied"))
	h.t.Logf("lock_release after %v: %v %.80s", time.Since(begun).Round(time.Millisecond), err, text)
	for i := range nodes { // so that the servers can end
		_, _ = h.fetch(i, h.volumes[i], command("lock_clear"))
	}
}

// indexed has many texts be indexed while small loads go into another table.
func (h *hosts) indexed() {
	h.schema()
	h.order(0, "table_create", "name", "Terms", "flags", "TABLE_PAT_KEY", "key_type", "ShortText", "default_tokenizer", "TokenBigram")
	u := h.user(0, 0, newHistory())
	u.ReadTimeout = time.Minute
	const texts, atOnce = 80000, 10000
	for i := 0; i < texts; i += atOnce {
		rows := make([]string, atOnce)
		for j := range rows {
			rows[j] = fmt.Sprintf(`{"text":"a text of some length with the number %d and %d more words about %d"}`, i+j, j, i)
		}
		if u.ask("load", command("load", "table", "Notes"), "["+strings.Join(rows, ",")+"]", fmt.Sprintf(",%d]", atOnce)) != done {
			h.t.Fatalf("load: %v", u.past.said)
		}
	}
	small := h.user(1, 1, newHistory())
	small.ReadTimeout = time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	var worst time.Duration
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			begun := time.Now()
			small.write(fmt.Sprintf("r0-%d", n), "v")
			worst = max(worst, time.Since(begun))
		}
	})
	begun := time.Now()
	uri := command("column_create", "table", "Terms", "name", "notes", "flags", "COLUMN_INDEX|WITH_POSITION", "type", "Notes", "source", "text")
	u.ask("index", uri, "", ",true]")
	took := time.Since(begun)
	cancel()
	wg.Wait()
	h.t.Logf("with -%s: an index took %v; the worst of the loads into another table meanwhile %v; %v %v", h.keep,
		took.Round(time.Millisecond), worst.Round(time.Millisecond), u.past.said, small.past.said)
}
