package livefile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ibuki-dev/ibuki/live"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(killedWriter); path != "" {
		writeForEver(path)
	}
	goleak.VerifyTestMain(m)
}

// listOf is a list of live nodes as it stands in a file.
func listOf(names ...string) string {
	var b strings.Builder
	b.WriteString("{")
	for i, name := range names {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(`"` + name + `": {"address": "10.0.0.1", "port": 7946, "status": "alive"}`)
	}
	b.WriteString("}")
	return b.String()
}

// watched is a list under test, with what it reported.
type watched struct {
	*List
	t       *testing.T
	path    string
	views   <-chan *live.View
	reports chan error
}

// watchFile watches a file of that text, or none if it is "-".
func watchFile(t *testing.T, text string, cfg Config) *watched {
	t.Helper()
	w := &watched{t: t, path: filepath.Join(t.TempDir(), "live.json"), reports: make(chan error, 100)}
	if text != "-" {
		w.write(text)
	}
	cfg.Report = func(err error) { w.reports <- err }
	if cfg.Settle == 0 {
		cfg.Settle = 20 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := Watch(ctx, w.path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); <-l.Done() })
	w.List, w.views = l, l.Watch(ctx)
	return w
}

// write writes the file in place, as an editor or a shell does.
func (w *watched) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// rename puts another file in its place.
func (w *watched) rename(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path+".new", []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.path+".new", w.path); err != nil {
		w.t.Fatal(err)
	}
}

// names are those of a view.
func names(v *live.View) string {
	var all []string
	for e := range v.All() {
		all = append(all, e.Name)
	}
	return strings.Join(all, " ")
}

// until waits for a list of these names.
func (w *watched) until(want string) {
	w.t.Helper()
	end := time.After(10 * time.Second)
	for {
		select {
		case v := <-w.views:
			if names(v) == want {
				return
			}
		case <-end:
			w.t.Fatalf("the list is %q, want %q; health %+v", names(w.Current()), want, w.Health())
		}
	}
}

// report waits for the next report.
func (w *watched) report() error {
	w.t.Helper()
	select {
	case err := <-w.reports:
		return err
	case <-time.After(10 * time.Second):
		w.t.Fatalf("nothing is reported; health %+v", w.Health())
		return nil
	}
}

func TestWatchFollowsTheFile(t *testing.T) {
	w := watchFile(t, listOf("a"), Config{})
	w.until("a")
	if h := w.Health(); !h.Loaded || !h.Alone || h.Missing || h.Fault != nil || h.Written.IsZero() {
		t.Errorf("health %+v", h)
	}
	w.write(listOf("a", "b"))
	w.until("a b")
	w.rename(listOf("b", "c"))
	w.until("b c")
	if h := w.Health(); h.Alone {
		t.Errorf("health %+v", h)
	}
	if err := os.Remove(w.path); err != nil {
		t.Fatal(err)
	}
	if err := w.report(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reported %v", err)
	}
	if h := w.Health(); !h.Missing || !h.Loaded || h.Faults != 1 || names(w.Current()) != "b c" {
		t.Errorf("health %+v, list %q", h, names(w.Current()))
	}
	w.rename(listOf("d"))
	w.until("d")
	if err := w.report(); err != nil {
		t.Errorf("reported %v", err)
	}
	if h := w.Health(); h.Missing || h.Fault != nil || !h.FaultSince.IsZero() {
		t.Errorf("health %+v", h)
	}
}

func TestMissingAtTheStart(t *testing.T) {
	w := watchFile(t, "-", Config{})
	if h := w.Health(); h.Loaded || !h.Missing || w.Current().Len() != 0 {
		t.Errorf("health %+v, %d nodes", h, w.Current().Len())
	}
	if err := w.report(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reported %v", err)
	}
	w.write(listOf("a"))
	w.until("a")
}

// TestBrokenFilesKeepTheList: whatever becomes of the file, the last good list
// stays, and the fault is told once.
func TestBrokenFilesKeepTheList(t *testing.T) {
	good := listOf("a", "b")
	for name, text := range map[string]string{
		"empty": "", "blank": " \n", "half": good[:len(good)/2], "no node": "{}", "array": "[]",
		"more behind": good + "x", "twice": `{"a":{},"a":{}}`, "no address": `{"a":{"address":"host"}}`,
		"number": "1", "port": `{"a":{"port":70000}}`, "no name": `{"":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watchFile(t, good, Config{Poll: 10 * time.Millisecond})
			w.until("a b")
			w.write(text)
			if err := w.report(); err == nil || !strings.Contains(err.Error(), w.path) {
				t.Errorf("reported %v", err)
			}
			w.rename(text) // the same fault in another file is no news
			if h := w.Health(); h.Fault == nil || h.Missing || names(w.Current()) != "a b" {
				t.Errorf("health %+v, list %q", h, names(w.Current()))
			}
			w.rename(listOf("c"))
			w.until("c")
			if err := w.report(); err != nil {
				t.Errorf("reported %v before the recovery", err)
			}
		})
	}
}
