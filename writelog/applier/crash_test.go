package applier

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// history makes a random log of commands, many of which may not be done twice.
func history(t *testing.T, r *rand.Rand, n int) []Entry {
	lines := []string{
		"table_create A TABLE_HASH_KEY ShortText",
		"column_create A x COLUMN_SCALAR Int32",
		"column_create A y COLUMN_SCALAR Int32",
		"table_create B TABLE_HASH_KEY ShortText",
		"column_create B ref COLUMN_SCALAR A",
		"table_create K0 TABLE_NO_KEY",
		"column_create K0 v COLUMN_SCALAR ShortText",
		"column_create K0 w COLUMN_SCALAR Int32",
		"table_create Lex TABLE_PAT_KEY ShortText --default_tokenizer TokenBigram --normalizer NormalizerAuto",
		"table_create D TABLE_HASH_KEY ShortText",
		"column_create D t COLUMN_SCALAR Text",
	}
	k, c := 0, "x"
	key := func() string { return fmt.Sprintf("k%d", r.IntN(8)) }
	for len(lines) < n {
		k1, x := k, c
		switch r.IntN(18) {
		case 0, 1, 2:
			lines = append(lines, fmt.Sprintf("load --table A\n[{\"_key\":%q,%q:%d},{\"_key\":\"m%d\",\"y\":%d}]", key(), x, r.IntN(100), r.IntN(3), r.IntN(100)))
		case 3:
			lines = append(lines, fmt.Sprintf("load --table A\n[{\"_key\":%q,\"y\":%d}]", key(), r.IntN(100)))
		case 4, 5:
			lines = append(lines, fmt.Sprintf("load --table B\n[{\"_key\":%q,\"ref\":%q}]", key(), key()))
		case 6, 7, 8, 9:
			var rows []string
			for range 1 + r.IntN(40) {
				rows = append(rows, fmt.Sprintf(`{"v":"%d","w":%d}`, r.IntN(1000), r.IntN(9)))
			}
			lines = append(lines, fmt.Sprintf("load --table K%d\n[%s]", k, strings.Join(rows, ",\n")))
		case 10:
			k = k1 + 1
			lines = append(lines, fmt.Sprintf("table_rename K%d K%d", k1, k))
		case 11:
			c = map[string]string{"x": "z", "z": "x"}[x]
			lines = append(lines, fmt.Sprintf("column_rename A %s %s", x, c))
		case 12:
			lines = append(lines, "column_copy --from_table A --from_name "+x+" --to_table A --to_name y")
		case 13:
			lines = append(lines, "delete --table A --filter "+fmt.Sprintf("'y < %d'", r.IntN(20)))
		case 14:
			lines = append(lines, "table_create Tmp TABLE_HASH_KEY ShortText", "table_copy A Tmp", "load --table Tmp\n[{\"_key\":\"more\"}]")
		case 15:
			lines = append(lines, "table_remove Tmp")
		case 16:
			lines = append(lines, fmt.Sprintf("load --table D\n[{\"_key\":%q,\"t\":\"text %d of many words\"}]", key(), r.IntN(100)))
		case 17:
			lines = append(lines, "column_create Lex i COLUMN_INDEX|WITH_POSITION D t", "column_remove Lex i", "delete --table D --key "+key())
		}
	}
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, "table_copy A Tmp"); ok {
			lines[i] = "table_copy --from_name A --to_name Tmp" + rest
		}
	}
	return entriesOf(t, lines...)
}

// TestGroongaIsKilled applies random histories to a server that is killed in the middle of them, though not within a
// schema command, which would make it suspect. What comes of it is what one run comes to that nothing disturbs.
func TestGroongaIsKilled(t *testing.T) {
	crashes(t, 1, 45, 4, func(k *killer, _ context.CancelFunc) {
		k.schema.Lock()
		defer k.schema.Unlock()
		k.kill()
	})
}

// TestApplierIsKilled is the same for the applier, which may end whatever its server does: the server does it to its end.
func TestApplierIsKilled(t *testing.T) {
	crashes(t, 2, 45, 8, func(_ *killer, end context.CancelFunc) { end() })
}

func crashes(t *testing.T, seed uint64, length, kills int, strike func(*killer, context.CancelFunc)) {
	r := rand.New(rand.NewPCG(seed, 1))
	l := newLog(history(t, r, length))
	calm := startGroonga(t)
	if _, err := run(t, Config{Server: calm, Source: l}, l.upTo, 60*time.Second); err != nil {
		t.Fatal(err)
	}
	g := startGroonga(t)
	for up := int64(0); up == 0; time.Sleep(50 * time.Millisecond) { // in its first second, a server may be another one
		_, up, _ = asker{g}.started(t.Context())
	}
	for n := range kills + 1 {
		left := 1 + r.IntN(60)
		if n == kills {
			left = 1 << 30
		}
		k := &killer{realServer: g, left: left, pause: time.Duration(r.IntN(3000)) * time.Microsecond, struck: make(chan struct{}), strike: strike}
		if end, err := k.run(t, l, seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		} else if end {
			break
		}
		select {
		case <-g.ended:
			g.start()
		default:
		}
	}
	if got, want := g.dump(), calm.dump(); got != want {
		t.Errorf("seed %d: after crashes:\n%s", seed, differ(got, want))
	}
}

// killer is a server that is struck while it does one of its commands.
type killer struct {
	*realServer
	left   int
	pause  time.Duration
	struck chan struct{}
	strike func(*killer, context.CancelFunc)
	end    context.CancelFunc
	schema sync.RWMutex // read while a schema command runs
}

// run applies until the end of the log, or until it is struck.
func (k *killer) run(t *testing.T, l *logOf, seed uint64) (end bool, err error) {
	h := newHeard()
	a, err := New(Config{Server: k, Source: l, Events: h, Cluster: 7, Boot: "boot1", Nonce: fmt.Sprint("nonce", seed), RetryMin: time.Millisecond})
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k.end = cancel
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	a.Feed(l.upTo)
	over := time.After(60 * time.Second)
	for {
		select {
		case <-k.struck:
			cancel()
			<-ended
			return false, nil
		case <-h.changed:
			if p, _ := h.saw(); p >= l.upTo {
				cancel()
				<-ended
				return true, nil
			}
		case err := <-ended:
			if ctx.Err() != nil {
				return false, nil
			}
			_, states := h.saw()
			return false, fmt.Errorf("%w\n%s", err, states)
		case <-over:
			_, states := h.saw()
			return false, fmt.Errorf("it does not end: %s", states)
		}
	}
}

func (k *killer) Do(ctx context.Context, c *groonga.Command) (groonga.Answer, error) {
	k.mu.Lock()
	k.left--
	now := k.left == 0
	k.mu.Unlock()
	if now { // before the command, while it runs, or after
		go func() {
			time.Sleep(k.pause)
			k.strike(k, k.end)
			close(k.struck)
		}()
	}
	// A schema command is under way from when its intent says so to when it says that it is done.
	if strings.Contains(c.Get("value"), `"sent":true`) && !strings.Contains(c.Get("value"), `"done":true`) {
		k.schema.RLock()
	}
	a, err := k.realServer.Do(ctx, c)
	if strings.Contains(c.Get("value"), `"done":true`) {
		k.schema.RUnlock()
	}
	return a, err
}

// differ is where two texts differ, by line.
func differ(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("line %d: %q\nwant: %q", i, a[i:min(i+6, len(a))], b[i:min(i+6, len(b))])
		}
	}
	return ""
}
