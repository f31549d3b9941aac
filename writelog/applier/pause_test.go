package applier

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Nothing is applied after the entry that pauses a server, also what may be done twice; all goes on when the pause
// has ended. A server that another one is filled from is not paused.
func TestAServerIsPausedAtOnePlaceOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l, letGo := heldServer(t, "delete --table A --filter slow", "load --table B\n[{\"_key\":\"b\"}]", pauses, "load --table B\n[{\"_key\":\"c\"}]", "load --table A\n[{\"_key\":\"a\"}]", pauses)
		var holds []*Hold
		cfg := Config{Server: f, Paused: func(h *Hold) string { holds = append(holds, h); return "name" }}
		_ = inBubble(t, cfg, l, func(_ *Applier, h *heard) {
			time.Sleep(time.Second)
			synctest.Wait()
			if len(holds) > 0 {
				t.Fatal("a server is paused before all that comes first is applied")
			}
			letGo()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			at := l.entries[2].Index
			h.mu.Lock()
			answer := string(h.answers[at].Body)
			n := len(h.order)
			h.mu.Unlock()
			if len(holds) != 1 || n != 3 || !strings.Contains(answer, `"hold":"name"`) {
				t.Fatalf("%d holds, %d entries are applied, the answer is %s", len(holds), n, answer)
			}
			if w := holds[0].Waiting(time.Now()); w < 9*time.Second {
				t.Errorf("entries have waited for %v", w)
			}
			holds[0].Release()
			time.Sleep(time.Second)
			synctest.Wait()
			if len(holds) != 2 {
				t.Fatalf("after the pause nothing goes on: %d holds", len(holds))
			}
			holds[1].Release()
			if prefix, _ := h.saw(); prefix != l.upTo {
				t.Errorf("it comes to %d of %d", prefix, l.upTo)
			}
		})
		f, l, _ = heldServer(t, "load --table B\n[{\"_key\":\"b\"}]")
		cfg.Server = f
		_ = inBubble(t, cfg, l, func(a *Applier, h *heard) {
			hold, err := a.Hold(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			more := entriesOf(t, pauses)
			more[0].Index += l.upTo
			a.Feed(more[0].Index, more...)
			time.Sleep(time.Second)
			synctest.Wait()
			h.mu.Lock()
			if answer := h.answers[more[0].Index]; len(holds) != 2 || answer.Code == 0 {
				t.Errorf("a server that another one is filled from is paused: %s", answer.Body)
			}
			h.mu.Unlock()
			hold.Release()
		})
	})
}
