package applier

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// heldServer is a server with a table with keys, one of another group and one without keys, whose first delete by a
// filter takes until it is let go.
func heldServer(t *testing.T, lines ...string) (f *fakeServer, l *logOf, letGo func()) {
	f = newFake("table_create A TABLE_HASH_KEY ShortText\ntable_create B TABLE_HASH_KEY ShortText\ntable_create K TABLE_NO_KEY\n")
	slow := make(chan struct{})
	f.hook = func(ctx context.Context, c *groonga.Command) (groonga.Answer, error, bool) {
		if c.Get("filter") == "slow" {
			select {
			case <-slow:
			case <-ctx.Done():
				return groonga.Answer{}, ctx.Err(), true
			}
		}
		return groonga.Answer{}, nil, false
	}
	f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"})
	return f, newLog(entriesOf(t, lines...)), func() { close(slow) }
}

// What may be done twice goes on while a server is held, all else waits; the position is that of a moment in which
// nothing of the latter runs, and claims nothing that came after it.
func TestWhatAHoldLetsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l, letGo := heldServer(t, "delete --table A --filter slow", "load --table B\n[{\"_key\":\"b\"}]")
		_ = inBubble(t, Config{Server: f, SaveEvery: time.Millisecond}, l, func(a *Applier, h *heard) {
			granted := make(chan *Hold, 1)
			go func() {
				hold, err := a.Hold(t.Context())
				if err != nil {
					t.Error(err)
				}
				granted <- hold
			}()
			time.Sleep(time.Second)
			synctest.Wait()
			if len(granted) > 0 {
				t.Fatal("a server is held in which a delete by filter runs")
			}
			letGo()
			time.Sleep(time.Second)
			hold := <-granted
			if hold.Position.Index != l.upTo || hold.Waiting(time.Now()) != 0 {
				t.Errorf("it begins at %+v, and entries wait for %v", hold.Position, hold.Waiting(time.Now()))
			}
			if _, err := a.Hold(t.Context()); !errors.Is(err, ErrHeld) {
				t.Errorf("it is held twice: %v", err)
			}
			lines := []string{
				"load --table A\n[{\"_key\":\"a\"}]", "delete --table A --key a", "config_set --key c --value d", // may be done twice
				"load --table K\n[{\"v\":1}]", "delete --table B --filter later", "load --table B\n[{\"_key\":\"c\"}]", // may not, the last one behind another
			}
			begun := uint64(len(l.entries))
			more := entriesOf(t, lines...)
			for i := range more {
				more[i].Index += l.upTo
			}
			a.Feed(more[len(more)-1].Index, more...)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			h.mu.Lock()
			if n := uint64(len(h.order)); n != begun+3 {
				t.Errorf("%d are applied: %v", n, h.order)
			}
			if h.durable > hold.Position.Index {
				t.Errorf("the log may be cut at %d, and the copy needs it from %d on", h.durable, hold.Position.Index)
			}
			h.mu.Unlock()
			if w := hold.Waiting(time.Now()); w < 4*time.Second || w > 5*time.Second {
				t.Errorf("entries have waited for %v", w)
			}
			hold.Release()
			hold.Release()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if prefix, _ := h.saw(); prefix != more[len(more)-1].Index || h.durable != prefix {
				t.Errorf("after the release: prefix %d, durable %d", prefix, h.durable)
			}
			if again, err := a.Hold(t.Context()); err != nil {
				t.Error(err)
			} else {
				again.Release()
			}
		})
	})
}

// A hold ends with what it rests upon.
func TestAHoldIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l, _ := heldServer(t, "load --table B\n[{\"_key\":\"b\"}]", "delete --table A --filter slow")
		_ = inBubble(t, Config{Server: f}, l, func(a *Applier, _ *heard) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := a.Hold(ctx); !errors.Is(err, ErrHeld) {
				t.Errorf("it did not wait: %v", err)
			}
			waits := make(chan error, 1)
			go func() {
				_, err := a.Hold(t.Context())
				waits <- err
			}()
			time.Sleep(time.Second)
			synctest.Wait()
			a.Begin("for this test")
			if err := <-waits; !errors.Is(err, ErrHeld) {
				t.Errorf("a hold that was not granted: %v", err)
			}
		})
		f, l, _ = heldServer(t, "load --table B\n[{\"_key\":\"b\"}]")
		_ = inBubble(t, Config{Server: f}, l, func(a *Applier, _ *heard) {
			hold, err := a.Hold(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			a.Begin("for this test")
			<-hold.Lost()
			hold.Release()
		})
	})
}

// A server is emptied only if what it has is this cluster's, or nothing; it is suspect from the first step to the last.
func TestPrepareAndAdopt(t *testing.T) {
	at := Position{Cluster: 7, Epoch: 1, Index: 9, Last: 9, Term: 2, Seen: 9, Boot: "boot1", Nonce: "new"}
	other := at
	other.Cluster = 8
	for name, test := range map[string]struct {
		schema string
		config map[string]string
		ours   bool
	}{
		"empty":               {"", nil, true},
		"unknown tables":      {"table_create A TABLE_NO_KEY\n", nil, false},
		"a position of ours":  {"table_create A TABLE_NO_KEY\n", map[string]string{"ibuki.position.1": sealed(1, at.Encode())}, true},
		"of another cluster":  {"", map[string]string{"ibuki.position.1": sealed(1, other.Encode())}, false},
		"our filling":         {"table_create A TABLE_NO_KEY\n", map[string]string{KeyFilling: "7 x"}, true},
		"another one's":       {"", map[string]string{KeyFilling: "8 x"}, false},
		"suspect, of ours":    {"table_create A TABLE_NO_KEY\n", map[string]string{keySuspect: "why", "ibuki.durable.0": sealed(4, at.Encode()), "ibuki.intent.3": "{"}, true},
		"suspect, of nowhere": {"table_create A TABLE_NO_KEY\n", map[string]string{keySuspect: "why"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(test.schema)
			for k, v := range test.config {
				f.config[k] = v
			}
			err := Prepare(t.Context(), f, 7, "mark", false)
			if ours := err == nil; ours != test.ours || !ours && !errors.Is(err, ErrForeign) {
				t.Fatalf("%v", err)
			}
			if err != nil {
				if f.config[KeyFilling] != test.config[KeyFilling] {
					t.Error("it is marked all the same")
				}
				if err := Prepare(t.Context(), f, 7, "mark", true); err != nil {
					t.Fatal(err)
				}
			}
			for key := range f.config { // order-free: each by itself
				if key != KeyFilling && key != keyServer {
					t.Errorf("it still says %s", key)
				}
			}
			l := &logState{cluster: 7, epoch: 1, boot: "boot1", first: 5, term: func(uint64) (uint64, bool) { return 2, true }}
			judged := func() error {
				s := &session{asker: asker{f}}
				found, _, err := s.fence(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, err = found.judge(l)
				return err
			}
			if err := judged(); !errors.Is(err, ErrSuspect) || !strings.Contains(err.Error(), "broken off") {
				t.Errorf("while it is filled: %v", err)
			}
			if err := Adopt(t.Context(), f, at, "of another filling"); err == nil {
				t.Error("a filling ends in a database that another one has marked")
			}
			if err := Adopt(t.Context(), f, at, "mark"); err != nil {
				t.Fatal(err)
			}
			if err := judged(); err != nil || f.config[KeyFilling] != "" {
				t.Errorf("when it is filled: %v", err)
			}
		})
	}
}
