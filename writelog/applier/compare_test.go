package applier

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
)

// A question is answered at its place among the writes of its tables, leaves no intent, and
// is not asked again when the server cannot answer it: nobody waits behind it.
func TestQuestionsKeepTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("table_create A TABLE_HASH_KEY ShortText\ntable_create B TABLE_HASH_KEY ShortText\n")
		var seen []int
		f.hook = func(_ context.Context, c *groonga.Command) (groonga.Answer, error, bool) {
			if c.Name == "load" {
				time.Sleep(time.Second) // the question has to wait for it
			}
			if c.Name != "select" || c.Get("filter") == "" {
				return groonga.Answer{}, nil, false
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			seen = append(seen, f.counts["A"])
			return groonga.Answer{Code: -12, Body: []byte("[[-12,0,0],0]")}, nil, true
		}
		l := newLog(entriesOf(t, append(loads("A", 1), "select A --filter true", "load --table A\n[{\"_key\":\"x\"}]", "dump --dump_records no")...))
		f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"})
		_ = inBubble(t, Config{Server: f}, l, func(_ *Applier, h *heard) {
			time.Sleep(time.Minute)
			synctest.Wait()
			if !slices.Equal(seen, []int{1}) || len(h.order) != 4 {
				t.Errorf("the question saw %v loads, and %v were done", seen, h.order)
			}
		})
		for key := range f.config {
			if strings.HasPrefix(key, keyIntent) {
				t.Errorf("%s is there", key)
			}
		}
	})
}

// A server that is said to differ is suspect, and stays so. The database that it gets in the
// place of the one that was meant is not.
func TestDiffers(t *testing.T) {
	for nonce, want := range map[string]bool{"nonce": true, "of the one before": false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake("table_create A TABLE_HASH_KEY ShortText\n")
			entries := entriesOf(t, loads("A", 2)...)
			entries = append(entries, Entry{Index: 50, Term: 1, Command: Differs(nonce, "A differs")})
			f.adopt(Position{Cluster: 7, Boot: "boot1", Nonce: "nonce"})
			err := inBubble(t, Config{Server: f}, newLog(entries), func(_ *Applier, h *heard) {
				time.Sleep(time.Minute)
				synctest.Wait()
				if !slices.Contains(h.order, 50) {
					t.Error("who has proposed it is not answered")
				}
			})
			if errors.Is(err, ErrSuspect) != want || errors.Is(err, ErrDiffers) != want || want && !errors.Is(suspected(f.config[keySuspect]), ErrDiffers) || strings.Contains(f.config[keySuspect], "A differs") != want {
				t.Errorf("%v; suspect %q", err, f.config[keySuspect])
			}
			if got := strings.Join(f.commands(), " "); strings.Contains(got, differs) {
				t.Errorf("the server got %s", got)
			}
		})
	}
}
