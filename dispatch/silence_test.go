package dispatch

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/groonga"
	"github.com/ibuki-dev/ibuki/logtest"
)

// TestAWriteThatWaitsIsNamed: with its table and how long it waits, until it ends.
func TestAWriteThatWaitsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out logtest.Buffer
		s := &silences{log: slog.New(slog.NewTextHandler(&out, nil)), server: "node1:10041"}
		s.begin(&groonga.Command{Name: "select"})
		s.begin(&groonga.Command{Name: "load", Args: []groonga.Arg{{Name: "table", Value: "Quick"}}})()
		end := s.begin(&groonga.Command{Name: "load", Args: []groonga.Arg{{Name: "table", Value: "Items"}}})
		time.Sleep(silentAfter - time.Millisecond)
		synctest.Wait()
		if f := s.fault(); f != "" || out.String() != "" {
			t.Errorf("too early: %s %s", f, &out)
		}
		time.Sleep(time.Second)
		later := s.begin(&groonga.Command{Name: "truncate", Args: []groonga.Arg{{Name: "target_name", Value: "Later"}}})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if f := s.fault(); !strings.HasPrefix(f, "load Items has had no answer for 31 s.") || !strings.Contains(f, "lock_clear") {
			t.Error(f)
		}
		if n := strings.Count(out.String(), "a write waits at a server"); n != 2 || !strings.Contains(out.String(), "volume=node1:10041") {
			t.Error(out.String())
		}
		end()
		if f := s.fault(); !strings.HasPrefix(f, "truncate Later") || !strings.Contains(out.String(), "has ended") {
			t.Errorf("%s %s", f, &out)
		}
		later()
		if f := s.fault(); f != "" {
			t.Error(f)
		}
	})
}
