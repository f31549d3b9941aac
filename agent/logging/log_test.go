package logging

import (
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ibuki-dev/ibuki/logtest"
	"github.com/ibuki-dev/ibuki/serf"
	"github.com/ibuki-dev/ibuki/swim"
)

func TestLogLines(t *testing.T) {
	var out logtest.Buffer
	l := New(&out, LevelInfo)
	log := l.Logger()
	log.Info("agent: one")
	log.Debug("agent: not printed")
	if out.String() != "" {
		t.Error("printed before Open")
	}
	l.Open()
	log.Error("agent: two", "err", "why")
	log.With("client", "x").Warn("agent.ipc: three")
	l.Trace(time.Now(), &swim.Trace{Kind: serf.TraceMemberJoin, Level: swim.LevelInfo, Node: "a\n[ERR] fake"})
	l.SetLevel(LevelDebug)
	log.Debug("agent: four", "n", 4)
	l.Close()
	log.Info("agent: after the end")
	want := []string{"[INFO] agent: one", "[ERR] agent: two: why", "[WARN] agent.ipc: three: x",
		`[INFO] serf: EventMemberJoin: a\n[ERR] fake`, "[DEBUG] agent: four n=4"}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %q", lines)
	}
	shape := regexp.MustCompile(`^    \d{4}/\d\d/\d\d \d\d:\d\d:\d\d (.*)$`)
	for i, line := range lines {
		m := shape.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[1], want[i]) {
			t.Errorf("line %d: %q, want %q", i, line, want[i])
		}
	}
}

func TestLogIsSilentIfNeverOpened(t *testing.T) {
	var out logtest.Buffer
	l := New(&out, LevelInfo)
	l.Logger().Info("x")
	l.Close()
	l.Close()
	if out.String() != "" {
		t.Errorf("printed %q", out.String())
	}
}

func TestWatchLog(t *testing.T) {
	l := New(&logtest.Buffer{}, LevelError)
	defer l.Close()
	log := l.Logger()
	for i := range recentLines + 10 {
		log.Debug(fmt.Sprint("old ", i))
	}
	lines, cancel := l.Watch(LevelDebug)
	log.Log(t.Context(), LevelTrace, "below")
	log.Info("new")
	var got []string
	for len(lines) > 0 {
		got = append(got, <-lines)
	}
	if len(got) != recentLines+1 || !strings.HasSuffix(got[0], "old 10") || !strings.HasSuffix(got[recentLines], "[INFO] new") {
		t.Errorf("%d lines, from %q to %q", len(got), got[0], got[len(got)-1])
	}
	cancel()
	cancel()
	if _, ok := <-lines; ok {
		t.Error("a line after cancel")
	}

	slow, cancelSlow := l.Watch(LevelDebug)
	for range recentLines + monitorLag + 1 {
		log.Debug("flood")
	}
	n := 0
	for range slow { // ends, because it was too slow
		n++
	}
	if n != recentLines+monitorLag {
		t.Errorf("a slow watcher got %d lines", n)
	}
	cancelSlow()
}

// stuckWriter is an output that takes nothing until it is released.
type stuckWriter struct {
	release chan struct{}
	logtest.Buffer
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.release
	return w.Buffer.Write(p)
}

func TestStuckOutputHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stuckWriter{release: make(chan struct{})}
		l := New(w, LevelInfo)
		l.Open()
		for range 3 * printLag {
			l.Logger().Info("x")
		}
		close(w.release)
		synctest.Wait()
		l.Logger().Info("last")
		l.Close()
		got := w.String()
		total := strings.Count(got, "[INFO] x\n")
		for _, m := range regexp.MustCompile(`(\d+) log lines were lost`).FindAllStringSubmatch(got, -1) {
			n, _ := strconv.Atoi(m[1])
			total += n
		}
		if total != 3*printLag || !strings.Contains(got, "were lost") || !strings.HasSuffix(got, "[INFO] last\n") {
			t.Errorf("%d lines printed or told as lost, want %d; ends with %q", total, 3*printLag, got[len(got)-60:])
		}
	})
}

func TestParseLevel(t *testing.T) {
	for _, name := range LevelNames {
		l, err := ParseLevel(strings.ToLower(name))
		if err != nil || levelName(l) != name {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	_, err := ParseLevel("loud")
	if want := "Invalid log level: LOUD. Valid log levels are: [TRACE DEBUG INFO WARN ERR]"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestTraceAllocatesNothingBelowTheLevel(t *testing.T) {
	l := New(&logtest.Buffer{}, slog.LevelInfo)
	defer l.Close()
	now := time.Now()
	tr := swim.Trace{Level: swim.LevelDebug, Node: "x"}
	if n := testing.AllocsPerRun(1000, func() { l.Trace(now, &tr) }); n != 0 {
		t.Errorf("%v allocations for a record that nobody reads", n)
	}
}
